"""One child and everything that it starts, as a process group."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.worker.lines import Lines, read_some

LAST_WORDS = 16 * 1024


class ProcessGroup:
    """A started command: its lines on a descriptor of their own, its last words, its end.

    ``arguments`` are followed by the number of that descriptor. Standard input stays open, and empty, while this
    process lives.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        ours, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own command line; no shell)
                [*arguments, str(theirs)],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs,),
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        self._descriptor = ours
        self._last_words = b""
        self.lines = Lines(ours)

    @property
    def pid(self) -> int:
        """The number of the child and of its group."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        return self._last_words.decode(errors="replace")

    def listen(self) -> None:
        """Read standard error, so that the child need not wait; only its end is kept."""
        assert self._process.stderr is not None
        self._last_words = (self._last_words + read_some(self._process.stderr.fileno()))[-LAST_WORDS:]

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group; the child has not been waited for, so the number is still its own."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def has_ended(self) -> bool:
        """Whether the child itself has; others of its group may go on."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def reap(self) -> int:
        """Kill what is left of the group of an ended child, let go of it; its exit code, negative for a signal."""
        self.signal(signal.SIGKILL)
        self.listen()
        code = self._process.wait()
        os.close(self._descriptor)
        for stream in (self._process.stdin, self._process.stderr):
            assert stream is not None
            stream.close()
        return code
