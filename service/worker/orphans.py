"""Orphans: what a child started and hid from its group. The worker adopts such processes and ends them. Linux only."""

import ctypes
import os
import signal
import sys
from collections.abc import Set
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent dies."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def end_orphans(children: Set[int]) -> None:
    """Kill the children of this process that are not among its own ``children``; the dead are let go of."""
    if not sys.platform.startswith("linux"):
        return
    numbers = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    for orphan in {int(number) for number in numbers.split()} - children:
        try:
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError):
            continue
