"""Files that appear whole: whoever reads them finds the old content or the new, however the writing ends."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of ``path`` where the block ends well; else ``path`` stays as it was.

    With ``durable`` its bytes are on the disk before it appears, so that it is whole after a power cut too.
    """
    with _staging(path.parent) as staging:
        with (staging / path.name).open("wb") as file:
            yield file
            _settle(file, durable)
        (staging / path.name).replace(path)


def replace_files(folder: Path, files: Mapping[str, bytes], *, durable: bool = False) -> None:
    """Write ``files`` by their names into ``folder``: none appears before all are written, and each appears whole.

    They appear one after the other, in their order; with ``durable`` as in :func:`replacing`.
    """
    with _staging(folder) as staging:
        for name, content in files.items():
            with (staging / name).open("wb") as file:
                file.write(content)
                _settle(file, durable)
        for name in files:
            (staging / name).replace(folder / name)


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A new folder in ``folder``, so on the same disk, and no other writer's; removed in the end."""
    with tempfile.TemporaryDirectory(prefix=".afternorm-", dir=folder) as staging:
        yield Path(staging)


def _settle(file: BinaryIO, durable: bool) -> None:
    file.flush()
    if durable:
        os.fsync(file.fileno())
