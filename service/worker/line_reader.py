"""Read lines from a pipe whose writer may be hostile."""

import os

from service.worker.messages import MAX_LINE_BYTES

#: The most bytes of one read; a faster writer blocks until the next.
CHUNK = 2**20


class LineReader:
    """Complete lines from a descriptor, without blocking."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._rest = b""

    def read(self) -> list[bytes]:
        """The lines completed since the last call; raises ValueError for one that is too long."""
        *lines, rest = (self._rest + read_available(self._descriptor)).split(b"\n")
        if max(map(len, (*lines, rest))) > MAX_LINE_BYTES:
            raise ValueError(f"a line of more than {MAX_LINE_BYTES} bytes")
        self._rest = rest
        return lines


def read_available(descriptor: int) -> bytes:
    """The bytes available on a non-blocking descriptor, at most a chunk; empty at its end."""
    try:
        return os.read(descriptor, CHUNK)
    except BlockingIOError:
        return b""
