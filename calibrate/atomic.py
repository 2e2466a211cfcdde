"""Files that appear whole: whoever reads them finds the old content or the new, however the writing ends."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of ``path`` where the block ends well; else ``path`` stays as it was.

    With ``durable`` its bytes are on the disk before it appears, so that it is whole after a power cut too.
    """
    part = _part(path)
    try:
        with part.open("xb") as file:
            yield file
            _settle(file, durable)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def replace_files(folder: Path, files: Mapping[str, bytes], *, durable: bool = False) -> None:
    """Write ``files`` by their names into ``folder``: none appears before all are written, and each appears whole.

    They appear one after the other, in their order; with ``durable`` as in :func:`replacing`.
    """
    parts = {name: _part(folder / name) for name in files}
    try:
        for name, content in files.items():
            with parts[name].open("xb") as file:
                file.write(content)
                _settle(file, durable)
        for name, part in parts.items():
            part.replace(folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    """Beside ``path``, so on the same disk, under a name that no other writer has and no search for ``path`` finds."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")


def _settle(file: BinaryIO, durable: bool) -> None:
    file.flush()
    if durable:
        os.fsync(file.fileno())
