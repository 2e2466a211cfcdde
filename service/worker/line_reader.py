"""Lines from a descriptor that somebody hostile may write to."""

import os

from service.worker.messages import LONGEST_LINE

#: Read at a time; a writer that is faster waits for the next poll.
CHUNK = 2**20


class Lines:
    """Whole lines, as they arrive; reading never waits."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._rest = b""

    def read(self) -> list[bytes]:
        """The lines that became whole since the last reading; ValueError for one that is too long."""
        *lines, rest = (self._rest + read_some(self._descriptor)).split(b"\n")
        if max(map(len, (*lines, rest))) > LONGEST_LINE:
            raise ValueError(f"a line of more than {LONGEST_LINE} bytes")
        self._rest = rest
        return lines


def read_some(descriptor: int) -> bytes:
    """What a non-blocking descriptor has, up to a megabyte; nothing at its end."""
    try:
        return os.read(descriptor, CHUNK)
    except BlockingIOError:
        return b""
