"""Members of a zip archive: read by several threads, wherever and however they lie in it."""

import io
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from calibrate.data.files.zip_archive import ZipArchive
from calibrate.errors import DataError

NAMES = ("cat/a.png", "cat/ö ✓.png", "dog/empty.png", "dog/b.png")
CONTENT = {
    name: b"" if "empty" in name else np.random.default_rng(number).integers(0, 9, 5000, np.uint8).tobytes()
    for number, name in enumerate(NAMES)
}


class Pipe(io.RawIOBase):
    """A stream that cannot be gone back in, so that sizes and checksums follow the members."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override]
        return self.file.write(content)


def plain(path: Path, method: int) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in CONTENT.items():
            archive.writestr(name, content)


def after_other_bytes(path: Path, method: int) -> None:
    path.write_bytes(b"#!/bin/sh\n" * 100)
    with zipfile.ZipFile(path, "a", method) as archive:
        for name, content in CONTENT.items():
            archive.writestr(name, content)


def streamed(path: Path, method: int) -> None:
    with path.open("wb") as file, zipfile.ZipFile(Pipe(file), "w", method) as archive:
        for name, content in CONTENT.items():
            archive.writestr(name, content)


def large_format(path: Path, method: int) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in CONTENT.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("write", [plain, after_other_bytes, streamed, large_format])
def test_threads_read_what_was_written(write: Callable[[Path, int], None], method: int, tmp_path: Path) -> None:
    write(tmp_path / "data.zip", method)
    archive = ZipArchive(tmp_path / "data.zip")
    assert archive.names == NAMES
    with archive.reading() as read, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, NAMES * 50)) == list(CONTENT.values()) * 50


def test_a_member_that_moves_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    plain(path, zipfile.ZIP_STORED)
    archive = ZipArchive(path)
    with zipfile.ZipFile(path, "w") as changed:
        for name in reversed(NAMES):
            changed.writestr(name, CONTENT[name])
    with archive.reading() as read, pytest.raises(DataError, match=r"'cat/a.png' in .* is damaged or has changed"):
        read("cat/a.png")
