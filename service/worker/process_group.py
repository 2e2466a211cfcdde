"""A child process and all processes that it starts, as one process group."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.worker.line_reader import LineReader, read_available

STDERR_TAIL_BYTES = 16 * 1024


class ProcessGroup:
    """A running command: its messages on a pipe, the tail of its standard error, its exit code.

    The number of the pipe's descriptor is the command's last argument. Standard input stays open, and empty, while this
    process runs.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        read_end, write_end = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own command line; no shell)
                [*arguments, str(write_end)],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(write_end,),
                start_new_session=True,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        self._descriptor = read_end
        self._stderr_tail = b""
        self.lines = LineReader(read_end)

    @property
    def pid(self) -> int:
        """The process ID of the child, which is the ID of its group too."""
        return self._process.pid

    @property
    def stderr_tail(self) -> str:
        """The end of its standard error."""
        return self._stderr_tail.decode(errors="replace")

    def read_stderr(self) -> None:
        """Drain standard error, so that the child does not block; only the tail is kept."""
        assert self._process.stderr is not None
        self._stderr_tail = (self._stderr_tail + read_available(self._process.stderr.fileno()))[-STDERR_TAIL_BYTES:]

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group; the child was not reaped yet, so its ID was not reused."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def has_ended(self) -> bool:
        """Whether the child itself has ended; other processes of its group may still run."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def reap(self) -> int:
        """Kill the rest of the group and reap the ended child; its exit code, negative for a signal."""
        self.signal(signal.SIGKILL)
        self.read_stderr()
        code = self._process.wait()
        os.close(self._descriptor)
        for stream in (self._process.stdin, self._process.stderr):
            assert stream is not None
            stream.close()
        return code
