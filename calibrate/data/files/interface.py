"""The files behind class folders, wherever they lie."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath

from calibrate.errors import UnsafeInputError

#: The most bytes one image file may have.
MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Listed:
    """The names of the files that are wanted; where ``may_lack`` one, that it is missing is said on reading it."""

    names: Sequence[str]
    may_lack: bool = False


class Files(ABC):
    """The files and folders below a root, by their names relative to it (with ``/``); nothing is written to disk."""

    def __init__(self, names: tuple[str, ...], folders: frozenset[str]) -> None:
        self.names = names
        self.folders = folders

    @abstractmethod
    def checksum(self, name: str) -> tuple[int, int]:
        """Size and CRC-32 of a file: the same in a directory and in an archive of it."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Callable[[str], bytes]]:
        """Lend a function, safe to call from several threads, that reads the file of that name."""


def leads_outside(raw: str) -> bool:
    r"""Whether a relative name with ``/`` could lead outside its root, on any system.

    >>> [leads_outside(name) for name in ("cat/1.png", "../1.png", "/1.png", "c:1.png", "cat\\1.png")]
    [False, True, True, True, True]
    """
    return bool(
        "\\" in raw or "\0" in raw or raw.startswith("/") or re.match("[A-Za-z]:", raw) or ".." in raw.split("/")
    )


def checked_name(raw: str, archive: object) -> str:
    """The member's name in its shortest form, where it leads nowhere else."""
    if leads_outside(raw):
        raise UnsafeInputError(
            f"{archive} has a member named {raw!r}, a name that could lead outside the archive; make the archive "
            f"with relative names and forward slashes."
        )
    return str(PurePosixPath(raw))


def check_size(name: str, size: int, archive: object) -> None:
    """Refuse a member that declares more bytes than any image needs."""
    if size > MAX_BYTES:
        raise UnsafeInputError(
            f"{name!r} in {archive} declares {size} bytes, more than the limit of {MAX_BYTES // 2**20} MiB, which no "
            f"image should need; remove it."
        )
