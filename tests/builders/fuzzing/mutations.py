"""Seeded damage to files: of their bytes, of their text, and inside the containers that their readers take apart.

A container is put together again with lengths and checksums that are right, so that the damage reaches what is behind
these: a zip's or tar's member, what gzip compressed, a header of safetensors, a chunk of a PNG.
"""

import gzip
import io
import json
import pickletools
import re
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random

#: Numbers at which readers go wrong, as text.
NUMBERS = (
    *("0", "-1", "1", "2", "255", "256", "65536", "2147483647", "2147483648", "4294967296", "9223372036854775807"),
    *("9223372036854775808", "18446744073709551616", "9" * 40, "9" * 5000, "-9999999999", "0.5", "-0.0", "1e308"),
    *("1e999", "-1e999", "nan", "NaN", ".inf", "Infinity", "0x10", "1_000", "007", "1.0", "٣", "", "null", "true"),
)
#: Pieces of documents and tables that stand for something to their readers.
PIECES = (
    *("{", "}", "[", "]", ",", ":", '"', "'", "\n", "\t", "\r\n", "\r", " ", "#", "- ", "? ", "| ", "> ", "---\n"),
    *("&a ", "*a", "<<: *a\n", "!!python/object/apply:os.getcwd []", "!!binary aGk=", "!!float x", "!!set {a, b}"),
    *("\0", "\ufeff", "\u2028", "\x1b[31m", "\x85", "\ud7ff", "é", "a" * 3000, "../", "/etc/passwd", "C:\\", "//"),
    *("[" * 3000, "{a: " * 1000, "[" * 100_000, "2001-13-45", "2001-12-14", "12:30:45", "yes", "~", "=", "1:2:3"),
    "x: &x [a, a, a]\ny: &y [*x, *x, *x, *x, *x, *x, *x, *x]\nz: [*y, *y, *y, *y, *y, *y, *y, *y]\n",
)
_BINARY_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_WORD = re.compile(r"\w+")
_CHUNK = re.compile(rb"IHDR|PLTE|IDAT|tRNS|IEND")


def mutated(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """``content`` after one to three changes; ``others`` are files of the same kind, which lend pieces."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = _changed(content, others, rng)
    return content


def _changed(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    inside = _container(content)
    if inside is not None and rng.random() < 0.7:
        try:
            return inside(content, rng)
        except Exception:  # what is broken already is no container any more
            return _bytes(content, others, rng)
    if rng.random() < 0.8 and (text := _text(content)) is not None:
        pieces = [piece for other in others if (piece := _text(other)) is not None]
        return _of_text(text, pieces, rng).encode("utf-8", "surrogatepass")
    return _bytes(content, others, rng)


def _container(content: bytes) -> Callable[[bytes, Random], bytes] | None:
    """How damage is done within ``content``, where it is of a known container."""
    if content.startswith(b"PK\x03\x04"):
        return _in_zip
    if content.startswith(b"\x1f\x8b"):
        return lambda whole, rng: gzip.compress(_changed(gzip.decompress(whole), (), rng), mtime=0)
    if content[257:262] == b"ustar":
        return _in_tar
    if content.startswith(b"\x89PNG"):
        return _in_png
    if content.startswith(b"\x93NUMPY"):
        return _in_npy
    if content[8:9] == b"{":
        return _in_safetensors
    return _in_pickle if content.startswith(b"\x80") else None


def _text(content: bytes) -> str | None:
    try:
        return content.decode() if b"\0" not in content else None
    except UnicodeDecodeError:
        return None


def _place(length: int, rng: Random) -> tuple[int, int]:
    """The ends of a piece of something so long; mostly a short piece, in a quarter of cases near the start."""
    longest = rng.choice((1, 4, 16, 64, length)) or 1
    start = rng.randrange(min(length, 256) if rng.random() < 0.25 else length) if length else 0
    return start, min(length, start + rng.randint(1, longest))


def _bytes(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    start, end = _place(len(content), rng)
    piece = content[start:end]
    match rng.choice(("flip", "number", "cut", "drop", "repeat", "splice", "random", "move")):
        case "flip" if piece:
            changed = bytearray(content)
            for _ in range(rng.choice((1, 1, 2, 8))):
                changed[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
            return bytes(changed)
        case "number":
            size = rng.choice((1, 2, 4, 8))
            number = rng.choice(_BINARY_NUMBERS) % 256**size
            return content[:start] + number.to_bytes(size, rng.choice(("little", "big"))) + content[start + size :]
        case "cut":
            return content[:start]
        case "drop":
            return content[:start] + content[end:]
        case "repeat":
            return content[:start] + piece * rng.choice((2, 3, 100)) + content[end:]
        case "splice" if others:
            other = rng.choice(others)
            first, last = _place(len(other), rng)
            return content[:start] + other[first:last] + content[end if rng.random() < 0.5 else start :]
        case "move":
            place = rng.randrange(len(content) + 1)
            rest = content[:start] + content[end:]
            return rest[:place] + piece + rest[place:]
        case _:
            return content[:start] + rng.randbytes(len(piece)) + content[end:]


def _of_text(text: str, others: Sequence[str], rng: Random) -> str:
    lines = text.splitlines(keepends=True)
    match rng.choice(("number", "number", "piece", "piece", "word", "line", "drop", "splice")):
        case "number" if found := list(_NUMBER.finditer(text)):
            at = rng.choice(found)
            return text[: at.start()] + rng.choice(NUMBERS) + text[at.end() :]
        case "word" if found := list(_WORD.finditer(text)):
            at, other = rng.choice(found), rng.choice(found)
            return text[: at.start()] + rng.choice((other[0], *NUMBERS)) + text[at.end() :]
        case "line" if lines:
            line = rng.choice(lines)
            lines.insert(rng.randrange(len(lines) + 1), line)
            return "".join(lines)
        case "drop":
            start, end = _place(len(text), rng)
            return text[:start] + text[end:]
        case "splice" if others:
            other = rng.choice(others)
            first, last = _place(len(other), rng)
            start, end = _place(len(text), rng)
            return text[:start] + other[first:last] + text[end:]
        case _:
            start, end = _place(len(text), rng)
            return text[:start] + rng.choice(PIECES) + text[rng.choice((start, end)) :]


def _in_zip(content: bytes, rng: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(member.filename, archive.read(member), member.compress_type) for member in archive.infolist()]
    at = rng.randrange(len(members))
    if rng.random() < 0.3:  # what says how the rest is read, among many members that do not
        described = [i for i, (name, *_) in enumerate(members) if name.endswith(("data.pkl", "byteorder", "version"))]
        at = rng.choice(described or [at])
    name, inner, method = members[at]
    match rng.choice(("inside", "inside", "inside", "inside", "name", "drop", "twice", "exchange", "method")):
        case "inside":
            members[at] = (name, _changed(inner, [other for _, other, _ in members[:4]], rng), method)
        case "name":
            members[at] = (_of_text(name, [other for other, *_ in members], rng) or "x", inner, method)
        case "drop":
            del members[at]
        case "twice":
            members.insert(rng.randrange(len(members) + 1), (name, inner[: rng.randrange(len(inner) + 1)], method))
        case "exchange":
            other = rng.randrange(len(members))
            members[at], members[other] = (name, members[other][1], method), (members[other][0], inner, method)
        case _:
            methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            members[at] = (name, inner, rng.choice(methods))
    target = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(target, "w") as archive:  # of a name that is twice
        for name, inner, method in members:
            whole = zipfile.ZipInfo(name)
            whole.compress_type = method
            archive.writestr(whole, inner)
    return target.getvalue()


def _in_tar(content: bytes, rng: Random) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as source, tarfile.open(fileobj=target, mode="w") as archive:
        members = source.getmembers()
        chosen = rng.choice(members)
        for member in members:
            inner = source.extractfile(member)
            data = inner.read() if inner is not None else b""
            if member is chosen:
                match rng.choice(("inside", "inside", "name", "kind", "drop")):
                    case "inside":
                        data = _changed(data, (), rng)
                    case "name":
                        member.name = _of_text(member.name, (), rng).encode(errors="replace").decode() or "x"
                    case "kind":
                        member.type = rng.choice((tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, b"x", b"g", b"Q"))
                    case _:
                        continue
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


def _in_png(content: bytes, rng: Random) -> bytes:
    """Change the content of a chunk, and write it with its length and checksum."""
    at = rng.choice([found.start() for found in _CHUNK.finditer(content)])
    (length,) = struct.unpack_from(">I", content, at - 4)
    inner = content[at + 4 : at + 4 + length]
    compressed = content[at : at + 4] == b"IDAT" and rng.random() < 0.5
    changed = zlib.compress(_bytes(zlib.decompress(inner), (), rng)) if compressed else _bytes(inner or b"\0", (), rng)
    named = content[at : at + 4] + changed
    chunk = struct.pack(">I", len(changed)) + named + struct.pack(">I", zlib.crc32(named))
    return content[: at - 4] + chunk + content[at + 8 + length :]


def _in_npy(content: bytes, rng: Random) -> bytes:
    """Change the text of the header, or what follows it."""
    (length,) = struct.unpack_from("<H", content, 8)
    if rng.random() < 0.4:
        return content[: 10 + length] + _bytes(content[10 + length :], (), rng)
    header = _of_text(content[10 : 10 + length].decode("latin1"), (), rng).encode("utf-8")[:65535]
    return content[:8] + struct.pack("<H", len(header)) + header + content[10 + length :]


def _in_safetensors(content: bytes, rng: Random) -> bytes:
    """Change the header as text, or what its JSON says of one tensor, and write it with its length."""
    (length,) = struct.unpack_from("<Q", content)
    text, rest = content[8 : 8 + length].decode(), content[8 + length :]
    if rng.random() < 0.5:
        document = json.loads(text)
        name = rng.choice(list(document))
        if name == "__metadata__":
            key = rng.choice(list(document[name]))
            document[name][key] = _of_text(str(document[name][key]), (), rng)
        else:
            document[name] = {**document[name], **rng.choice(_WRONG)(document[name], rng)}
        text = json.dumps(document)
    else:
        text = _of_text(text, (), rng)
    header = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(header)) + header + rest


_WRONG: tuple[Callable[[dict[str, object], Random], dict[str, object]], ...] = (
    lambda entry, rng: {"dtype": rng.choice(("F16", "F64", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "F4", "x"))},
    lambda entry, rng: {"shape": rng.choice(([], [0], [1], [-1], [2**40], [2**62, 2**62], [0, 2**63], None, "x"))},
    lambda entry, rng: {"data_offsets": rng.choice(([0, 0], [0, 8], [8, 0], [0, 2**63], [-4, 4], [], None))},
)


def _in_pickle(content: bytes, rng: Random) -> bytes:
    """Drop, repeat, exchange or replace an instruction of the first pickle."""
    starts = [position for _, _, position in pickletools.genops(content) if position is not None]
    end = starts[-1] + 1
    parts = [content[a:b] for a, b in zip(starts, [*starts[1:], end], strict=True)]
    at = rng.randrange(len(parts))
    match rng.choice(("drop", "repeat", "exchange", "inside", "random", "many")):
        case "drop":
            del parts[at]
        case "repeat":
            parts.insert(at, parts[at])
        case "exchange":
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        case "inside":
            parts[at] = parts[at][:1] + _bytes(parts[at][1:], (), rng)
        case "many":
            parts[at] *= rng.choice((2, 50, 20_000))
        case _:
            parts[at] = rng.choice((b")", b"]", b"}", b"(", b"t", b"R", b"b", b"0", b"2", b"\x81", b"N", b"\x85", b"Q"))
    return b"".join(parts) + content[end:]
