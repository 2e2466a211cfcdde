"""A server as a user starts one: ``afternorm serve`` in a process of its own, with its worker."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-c", "from calibrate.cli import main; main()"]


@contextmanager
def served(data_dir: Path, *options: str, killed: bool = False) -> Iterator[str]:
    """The URL of a server with the data directory ``data_dir``.

    It is told to stop, and must end well, afterwards, unless it is to be ``killed`` meanwhile.
    """
    server = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--data-dir", str(data_dir), *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "AFTERNORM_DRAIN_SECONDS": "1"},
    )
    assert server.stderr is not None
    lines = []
    with server, server.stderr:
        try:
            for line in server.stderr:
                lines.append(line)
                if found := re.match(r"http://\S+:\d+", line):
                    yield found[0]
                    break
            else:
                raise AssertionError("".join(lines))
        finally:
            server.send_signal(signal.SIGTERM)
            lines += server.communicate(timeout=300)[1].splitlines(keepends=True)
    assert server.returncode == (-signal.SIGKILL if killed else 0), "".join(lines)
