"""Archives and directories that try something: refused, by name, before anything of them is used."""

import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibrate.data import Source, open_data
from calibrate.errors import DataError, UnsafeInputError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

Write = Callable[..., Path]

LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


def opened(path: Path) -> Source:
    return open_data(path, preprocessing=Preprocessing())


def patch(path: Path, field: str, offset_local: int, offset_central: int, value: int) -> None:
    """Overwrite a field of the first member in its local header and in the central directory."""
    content = bytearray(path.read_bytes())
    struct.pack_into(field, content, content.index(LOCAL) + offset_local, value)
    struct.pack_into(field, content, content.index(CENTRAL) + offset_central, value)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "cat/../../evil.png",
        "cat/..",
        "/etc/evil.png",
        "C:evil.png",
        "c:/cat/evil.png",
        "cat\\evil.png",
        "..\\evil.png",
        "notes/../x.txt",
    ],
)
def test_names_that_lead_outside(write_zip: Write, pets: dict[str, bytes], name: str) -> None:
    with pytest.raises(UnsafeInputError) as error:
        opened(write_zip(pets | {name: b"x"}))
    assert repr(name) in str(error.value)


def test_a_name_with_a_nul_byte(write_zip: Write, picture: Callable[..., bytes]) -> None:
    path = write_zip({"cat/a.png": picture(0), "cat/b.png": picture(1)})
    path.write_bytes(path.read_bytes().replace(b"cat/b.png", b"cat/\0.png"))
    with pytest.raises(UnsafeInputError, match=r"x00"):
        opened(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files(write_zip: Write, pets: dict[str, bytes], kind: int) -> None:
    path = write_zip(pets)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("cat/link.png")
        link.external_attr = (kind | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafeInputError, match=r"'cat/link.png'.*link or a special file"):
        opened(path)


def test_an_encrypted_member(write_zip: Write, pets: dict[str, bytes]) -> None:
    path = write_zip(pets)
    patch(path, "<H", 6, 8, 1)
    with pytest.raises(DataError, match=r"'dog/b.png'.*is encrypted"):
        opened(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression(write_zip: Write, pets: dict[str, bytes], method: int) -> None:
    with pytest.raises(DataError, match=r"unusual method"):
        opened(write_zip(pets, method=method))


def test_an_unknown_compression(write_zip: Write, pets: dict[str, bytes]) -> None:
    path = write_zip(pets)
    patch(path, "<H", 8, 10, 97)
    with pytest.raises(DataError, match=r"unusual method"):
        opened(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["dog/b.png", "./dog/b.png", "dog//b.png"])
def test_one_name_twice(write_zip: Write, pets: dict[str, bytes], name: str) -> None:
    path = write_zip(pets)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"other")
    with pytest.raises(DataError, match=r"two members named 'dog/b.png'"):
        opened(path)


def test_an_absurd_declared_size(write_zip: Write, pets: dict[str, bytes]) -> None:
    path = write_zip(pets)
    patch(path, "<I", 22, 24, 2**28 + 1)
    with pytest.raises(UnsafeInputError, match=r"'dog/b.png'.*declares 268435457 bytes"):
        opened(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("change", [-1, 1, -(10**9)])
def test_a_size_that_lies(write_zip: Write, picture: Callable[..., bytes], method: int, change: int) -> None:
    content = picture(0)
    path = write_zip({"cat/a.png": content}, method=method)
    patch(path, "<I", 22, 24, max(0, len(content) + change))
    with pytest.raises(DataError, match=r"'cat/a.png'.*is damaged"):
        inputs_of(opened(path))


def test_a_member_that_unpacks_to_far_more_than_declared(write_zip: Write) -> None:
    path = write_zip({"cat/a.png": bytes(2**24)})
    patch(path, "<I", 22, 24, 1000)
    with pytest.raises(DataError, match=r"'cat/a.png'.*is damaged"):
        inputs_of(opened(path))


def test_a_checksum_that_lies(write_zip: Write, pets: dict[str, bytes]) -> None:
    path = write_zip(pets)
    patch(path, "<I", 14, 16, 12345)
    with pytest.raises(DataError, match=r"'dog/b.png'.*is damaged"):
        inputs_of(opened(path))


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive(write_zip: Write, pets: dict[str, bytes], keep: float) -> None:
    path = write_zip(pets)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(DataError, match=r"not a complete zip"):
        opened(path)


def test_damage_anywhere_is_an_error_that_names_the_archive_or_changes_nothing(
    write_zip: Write, pets: dict[str, bytes]
) -> None:
    path = write_zip(pets)
    content = path.read_bytes()
    random = np.random.default_rng(0)
    messages = []
    for position in random.integers(0, len(content), 300):
        damaged = bytearray(content)
        damaged[position] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        try:
            inputs_of(opened(path))
        except (DataError, UnsafeInputError) as error:
            messages.append(str(error))
    assert len(messages) > 200
    assert all(str(path) in message for message in messages)


def test_an_archive_that_changes_between_passes(write_zip: Write, picture: Callable[..., bytes]) -> None:
    path = write_zip({"cat/a.png": picture(0)})
    source = opened(path)
    inputs_of(source)
    write_zip({"cat/a.png": picture(1)})
    with pytest.raises(DataError, match=r"has changed"):
        inputs_of(source)
    path.unlink()
    with pytest.raises(DataError, match=r"cannot be read"):
        inputs_of(source)


def test_nothing_is_written_to_disk(
    write_zip: Write, pets: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(pets)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    inputs_of(opened(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", ["file", "folder", "nowhere"])
def test_a_link_out_of_the_directory(write_folder: Write, pets: dict[str, bytes], tmp_path: Path, target: str) -> None:
    root = write_folder(pets)
    outside = tmp_path / "outside"
    if target == "file":
        outside.write_bytes(pets["cat/1.png"])
    elif target == "folder":
        outside.mkdir()
    (root / "cat" / "link.png").symlink_to(outside)
    with pytest.raises(UnsafeInputError, match=r"'cat/link.png'.*leads outside"):
        opened(root)


def test_a_relative_link_out_of_the_directory(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    (root / "bee").symlink_to("..")
    with pytest.raises(UnsafeInputError, match=r"'bee'.*leads outside"):
        opened(root)


def test_links_inside_the_directory(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    (root / "ant" / "z.png").symlink_to(root / "cat" / "1.png")
    source = opened(root)
    inputs_of(source)
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    (root / "bee").symlink_to("cat")
    with pytest.raises(DataError, match=r"'bee'.*a link to a folder"):
        opened(root)


def test_links_that_lead_nowhere(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    (root / "cat" / "loop.png").symlink_to("loop.png")
    with pytest.raises(DataError, match=r"'cat/loop.png'"):
        opened(root)
    (root / "cat" / "loop.png").unlink()
    (root / "cat" / "gone.png").symlink_to("missing.png")
    with pytest.raises(DataError, match=r"'cat/gone.png'.*broken link"):
        opened(root)


def test_a_pipe_is_not_waited_for(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    os.mkfifo(root / "cat" / "pipe.png")
    with pytest.raises(DataError, match=r"'cat/pipe.png'.*neither a file nor a folder"):
        opened(root)


def test_hidden_folders_are_not_entered(write_folder: Write, pets: dict[str, bytes], tmp_path: Path) -> None:
    root = write_folder(pets | {".cache/": b""})
    (root / ".cache" / "out").symlink_to(tmp_path)
    (finding,) = opened(root).findings
    assert "'.cache'" in finding.message


def test_a_huge_file(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    with (root / "cat" / "huge.png").open("wb") as file:
        file.truncate(2**28 + 1)
    source = opened(root)
    with pytest.raises(UnsafeInputError, match=r"'cat/huge.png'.*limit of 256 MiB"):
        inputs_of(source)


def test_a_file_that_goes_away(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    source = opened(root)
    (root / "cat" / "1.png").unlink()
    with pytest.raises(DataError, match=r"'cat/1.png'.*cannot be read"):
        inputs_of(source)
