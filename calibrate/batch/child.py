"""A run as a child process in its own group, which ends when its parent ends, however that ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from calibrate.request import RunRequest

#: What carries out a request; it stops when its standard input closes.
ENTRY = "calibrate.cli.child"
#: Where, inside a run's folder, its request is until the run ends.
REQUEST = "run-request.json"
#: Where, inside a run's folder, its finished passes are until it ends well.
TRIALS = "trials"
GRACE_SECONDS = 5.0


def start(request: RunRequest, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a child that carries ``request`` out and writes into ``folder``; what it says of itself goes to ``log``.

    The request is in ``folder`` for the child alone to read, because the URL of data may hold a password.
    """
    path = folder / REQUEST
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(request.model_dump_json(indent=2))
    with log.open("wb") as errors:
        return subprocess.Popen(  # noqa: S603 (this interpreter and our own module; no shell)
            [sys.executable, "-m", ENTRY, str(path), str(folder / TRIALS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )


def stop(children: Iterable[subprocess.Popen[bytes]]) -> None:
    """Stop the process groups of ``children``: SIGTERM, five seconds' grace for all, SIGKILL."""
    children = list(children)
    for child in children:
        _signal(child, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(child, signal.SIGKILL)
        release(child)


def release(child: subprocess.Popen[bytes]) -> int:
    """Wait for the end of ``child``, close its standard input, give its exit code."""
    code = child.wait()
    if child.stdin is not None:
        child.stdin.close()
    return code


def error_line(code: int, log: Path) -> str:
    """Why a child ended with ``code``, on one line: the error it named, else the last thing it said."""
    if code == 0:
        return ""
    if code < 0:
        return f"it was killed by signal {-code}"
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    named = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (named or lines or [f"it ended with exit code {code} and said nothing"])[-1]


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    """Signal the group of a child that has not been waited for, so that its number cannot be another's by now."""
    if child.poll() is None:
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
