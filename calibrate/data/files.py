"""The files behind class folders, wherever they lie."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

#: The most bytes one image file may have.
MAX_BYTES = 256 * 2**20


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
