"""Hostile and damaged data files, one for each way a stranger's data can be wrong.

``python -m tests.builders.hostile_data FOLDER`` writes them all and lists them.
"""

import gzip
import io
import pickle
import stat
import struct
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.builders.hostile_checkpoints import Calls


class Hostile(NamedTuple):
    """A data file, and what its error must name."""

    path: Path
    said: str


def picture(seed: int, side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def good() -> dict[str, bytes]:
    """Ten classes with two images each."""
    return {f"{label}/{number}.png": picture(2 * label + number) for label in range(10) for number in range(2)}


def write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def tar_bytes(contents: Mapping[str, bytes], *more: tarfile.TarInfo, **options: Any) -> bytes:
    """A plain tar of the contents, and of further headers without content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return stream.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def declaring(name: str, size: int) -> bytes:
    """A tar whose one header declares ``size`` bytes and has none."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def without_end(content: bytes) -> bytes:
    return content.rstrip(b"\0") + bytes(-len(content.rstrip(b"\0")) % 512)


def tars() -> dict[str, tuple[bytes, str]]:
    """Plain tar archives: content, and what the error names."""
    whole = tar_bytes(good())
    broken_header = bytearray(whole)
    broken_header[whole.index(b"5/0.png") + 148] ^= 0xFF  # the checksum of that header
    pax_bomb = declaring("x", 2**33)
    pax_bomb = bytearray(pax_bomb[:512])
    pax_bomb[156:157] = b"x"
    pax_bomb[148:156] = b" " * 8
    pax_bomb[148:156] = b"%06o\0 " % sum(pax_bomb)
    long_name = special("L" * 10, b"L").tobuf(tarfile.GNU_FORMAT)
    return {
        "traversal": (tar_bytes({**good(), "../evil.png": b"x"}), "'../evil.png'"),
        "inner-traversal": (tar_bytes({**good(), "0/../../evil.png": b"x"}), "'0/../../evil.png'"),
        "absolute": (tar_bytes({**good(), "/tmp/evil.png": b"x"}), "'/tmp/evil.png'"),
        "backslash": (tar_bytes({**good(), "..\\evil.png": b"x"}), "evil.png'"),
        "symlink": (tar_bytes(good(), special("0/link.png", tarfile.SYMTYPE, "/etc/passwd")), "'0/link.png'"),
        "hardlink": (tar_bytes(good(), special("0/hard.png", tarfile.LNKTYPE, "/etc/passwd")), "'0/hard.png'"),
        "device": (tar_bytes(good(), special("0/device.png", tarfile.CHRTYPE)), "'0/device.png'"),
        "pipe": (tar_bytes(good(), special("0/pipe.png", tarfile.FIFOTYPE)), "'0/pipe.png'"),
        "sparse": (tar_bytes(good(), special("0/sparse.png", tarfile.GNUTYPE_SPARSE)), "'0/sparse.png'"),
        "unknown-kind": (tar_bytes(good(), special("0/odd.png", b"Z")), "'0/odd.png'"),
        "twice": (tar_bytes({**good(), "./0/0.png": b"x"}), "two members named '0/0.png'"),
        "declared-bomb": (declaring("0/bomb.png", 2**28 + 1), "'0/bomb.png'"),
        "negative-size": (declaring("0/minus.png", -512), "'0/minus.png'"),
        "lying-size": (declaring("0/short.png", 2**20), "'0/short.png'"),
        "pax-bomb": (bytes(pax_bomb) + bytes(1024), "header of"),
        "endless-headers": (long_name * 3000, "tar"),
        "truncated": (whole[: 8 * 1024 + 512 + 60], "'4/0.png'"),
        "cut-in-a-header": (whole[: 8 * 1024 + 60], "byte 8192"),
        "cut-between-members": (without_end(whole), "end is missing"),
        "broken-header": (bytes(broken_header), "without a valid header"),
        "two-in-one": (whole + tar_bytes({"0/more.png": picture(99)}), "two archives in one"),
        "empty": (b"", "tar"),
        "text": (b"hello " * 500, "tar"),
        "no-images": (tar_bytes({"notes.txt": b"x"}), "no images"),
        "nan-image": (tar_bytes({**good(), "3/bad.png": b"not an image"}), "'3/bad.png'"),
    }


def gzipped() -> dict[str, tuple[bytes, str]]:
    """Compressed tars that are wrong in the compression."""
    whole = gzip.compress(tar_bytes(good()))
    flipped = bytearray(whole)
    flipped[-6] ^= 1  # the checksum of the content
    return {
        "gzip-truncated": (whole[: len(whole) // 2], ".png'"),
        "gzip-without-end": (whole[:-8], "compressed data end too early"),
        "gzip-checksum": (bytes(flipped), "check"),
        "gzip-plain": (tar_bytes(good()), "tar"),
        "gzip-zeros": (gzip.compress(tar_bytes(good()) + bytes(2**22)), "zeros after its end"),
        "gzip-then-junk": (whole + b"junk", "tar"),
    }


def zips(folder: Path) -> Iterator[Hostile]:
    def made(name: str, contents: Mapping[str, bytes], said: str) -> Hostile:
        write_zip(folder / f"{name}.zip", contents)
        return Hostile(folder / f"{name}.zip", said)

    yield made("traversal", {**good(), "../evil.png": b"x"}, "'../evil.png'")
    yield made("drive", {**good(), "C:evil.png": b"x"}, "'C:evil.png'")
    yield made("not-an-image", {**good(), "3/bad.jpg": b"hello"}, "'3/bad.jpg'")
    yield made("half-image", {**good(), "3/half.png": picture(3, 64)[:600]}, "'3/half.png'")
    bomb = io.BytesIO()
    Image.new("1", (11000, 11000)).save(bomb, "PNG")
    yield made("pixel-bomb", {**good(), "3/bomb.png": bomb.getvalue()}, "'3/bomb.png'")
    truncated = made("truncated", good(), "truncated.zip")
    truncated.path.write_bytes(truncated.path.read_bytes()[:-30])
    yield truncated
    declared = made("declared-bomb", good(), "'0/0.png'")
    content = bytearray(declared.path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 2**28 + 1)
    declared.path.write_bytes(content)
    yield declared
    link = made("symlink", good(), "'0/link.png'")
    with zipfile.ZipFile(link.path, "a") as archive:
        member = zipfile.ZipInfo("0/link.png")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    yield link


def arrays(folder: Path) -> Iterator[Hostile]:
    code = Calls(eval, "open('executed', 'w')")
    x = np.zeros((20, 8, 8), np.uint8)
    for name, y, said in [("pickled", np.array([code] * 20, object), "'y'"), ("floats", np.full(20, 0.5), "integers")]:
        np.savez(folder / f"{name}.npz", x=x, y=y)
        yield Hostile(folder / f"{name}.npz", said)
    write_zip(folder / "pickle.npz", {"x.npy": pickle.dumps(code), "y.npy": pickle.dumps(code)})
    yield Hostile(folder / "pickle.npz", "'x.npy'")
    (folder / "text.npz").write_bytes(b"hello" * 99)
    yield Hostile(folder / "text.npz", "text.npz")


def manifests(folder: Path) -> Iterator[Hostile]:
    for name, content in good().items():
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "outside.png").write_bytes(picture(0))
    (folder / "images" / "link.png").symlink_to(folder / "outside.png")
    rows = "".join(f"{name},{name[0]}\n" for name in good())
    header = "path,label\n"
    texts: dict[str, tuple[bytes, str]] = {
        "traversal": (f"{header}{rows}../outside.png,1\n".encode(), "line 22"),
        "absolute": (f"{header}/etc/passwd,1\n{rows}".encode(), "line 2"),
        "link": (f"{header}{rows}link.png,1\n".encode(), "'link.png'"),
        "missing": (f"{header}{rows}0/gone.png,1\n".encode(), "'0/gone.png'"),
        "folder": (f"{header}{rows}0,1\n".encode(), "'0'"),
        "no-header": (rows.encode(), "path,label"),
        "short-row": (f"{header}0/0.png,0\n0/1.png\n".encode(), "line 3"),
        "no-label": (f"{header}0/0.png,0\n0/1.png, \n".encode(), "line 3"),
        "twice": (f"{header}{rows}./0/0.png,0\n".encode(), "line 22"),
        "mixed": (f"{header}0/0.png,0\n0/1.png,cat\n".encode(), "line 3"),
        "huge-label": (f"{header}0/0.png,{'9' * 40}\n".encode(), "line 2"),
        "open-quote": (f'{header}"0/0.png,0\n{rows}'.encode(), "line"),
        "long-field": (f"{header}{'x' * 200_000},0\n".encode(), "line"),
        "nul": (f"{header}0/\0.png,0\n".encode(), "line 2"),
        "not-utf8": (header.encode() + b"0/\xff.png,0\n", "UTF-8"),
        "no-rows": (header.encode(), "no images"),
        "empty": (b"", "path,label"),
    }
    for name, (content, said) in texts.items():
        (folder / "images" / f"{name}.csv").write_bytes(content)
        yield Hostile(folder / "images" / f"{name}.csv", said)


def directories(folder: Path) -> Iterator[Hostile]:
    for name, change, said in [
        ("link-out", lambda root: (root / "0" / "out.png").symlink_to("/etc/passwd"), "'0/out.png'"),
        ("loop", lambda root: (root / "0" / "loop.png").symlink_to("loop.png"), "'0/loop.png'"),
        ("text", lambda root: (root / "3" / "text.png").write_bytes(b"hello"), "'3/text.png'"),
    ]:
        for member, content in good().items():
            path = folder / name / member
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        change(folder / name)
        yield Hostile(folder / name, said)


def write_all(folder: Path) -> list[Hostile]:
    """Write every file below ``folder``."""
    made = []
    kinds: tuple[Callable[[Path], Iterator[Hostile]], ...] = (zips, arrays, manifests, directories)
    for kind in kinds:
        (folder / kind.__name__).mkdir()
        made += kind(folder / kind.__name__)
    for name, (content, said) in tars().items():
        (folder / f"{name}.tar").write_bytes(content)
        (folder / f"{name}.tar.gz").write_bytes(gzip.compress(content))
        made += [Hostile(folder / f"{name}.tar", said), Hostile(folder / f"{name}.tar.gz", said)]
    for name, (content, said) in gzipped().items():
        (folder / f"{name}.tgz").write_bytes(content)
        made.append(Hostile(folder / f"{name}.tgz", said))
    return made


if __name__ == "__main__":
    for hostile in write_all(Path(sys.argv[1])):
        sys.stdout.write(f"{hostile.path}: its error names {hostile.said}\n")
