"""Gzip-compressed bytes that can be read from any place, in bounded memory."""

import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

COMPRESSED = 2**14
BLOCK = 2**16
#: A remembered place costs about 50 KiB; there are at most this many.
MARKS = 256
SPACING = 2**20


@dataclass(frozen=True, slots=True)
class Mark:
    """A place to resume at: in the content, in the compressed file, and the decompressor's state there."""

    place: int
    offset: int
    state: Any


class GzipStream:
    """The content of a gzip file (of one or several members), read forward; going back resumes at a remembered mark.

    Marks lie evenly, 1 MiB of content apart at first and twice as far whenever there are more than 256, so a step
    back decompresses at most 1/128 of what has been read, or 1 MiB. ``marks`` are those of an earlier stream.
    """

    def __init__(self, raw: IO[bytes], marks: Sequence[Mark] = ()) -> None:
        self._raw = raw
        self.marks = list(marks) or [Mark(0, 0, zlib.decompressobj(31))]
        self._spacing = SPACING
        self._place = 0
        self._resume(self.marks[0])

    def tell(self) -> int:
        """The place in the content."""
        return self._place

    def seek(self, place: int) -> int:
        """Go to a place; nothing is read until it is asked for."""
        self._place = place
        return place

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes of content, fewer at its end."""
        nearest = self.marks[bisect_right(self.marks, self._place, key=lambda mark: mark.place) - 1]
        if self._place < self._start or nearest.place > self._start + len(self._block):
            self._resume(nearest)
        parts = []
        while size:
            inside = self._place - self._start
            part = self._block[inside : inside + size] if inside < len(self._block) else b""
            if part:
                parts.append(part)
                self._place += len(part)
                size -= len(part)
            elif not self._advance():
                break
        return b"".join(parts)

    def _resume(self, mark: Mark) -> None:
        self._raw.seek(mark.offset)
        self._state = mark.state.copy()
        self._pending = b""
        self._start, self._block = mark.place, b""

    def _advance(self) -> bool:
        """Decompress the next block; False at the end."""
        self._start += len(self._block)
        self._block = self._decompress()
        reached = self._start + len(self._block)
        if reached >= self.marks[-1].place + self._spacing and not self._state.eof:
            self.marks.append(Mark(reached, self._raw.tell() - len(self._pending), self._state.copy()))
            if len(self.marks) > MARKS:
                del self.marks[1::2]
                self._spacing *= 2
        return bool(self._block)

    def _decompress(self) -> bytes:
        while True:
            self._pending = self._pending or self._raw.read(COMPRESSED)
            at_end = not self._pending
            if self._state.eof:
                self._pending = self._pending.lstrip(b"\0")
                if self._pending:
                    self._state = zlib.decompressobj(31)
                elif at_end:
                    return b""
                continue
            block: bytes = self._state.decompress(self._pending, BLOCK)
            self._pending = self._state.unused_data if self._state.eof else self._state.unconsumed_tail
            if block:
                return block
            if at_end and not self._state.eof:
                raise EOFError("the compressed data end too early")
