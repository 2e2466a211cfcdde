"""Orphans: processes of a child that left its process group. The worker adopts and kills them. Linux only."""

import ctypes
import os
import signal
import sys
from collections.abc import Set
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become a subreaper: the parent of every descendant whose own parent has ended."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def kill_orphans(children: Set[int]) -> None:
    """Kill and reap the child processes that are not among ``children``."""
    if not sys.platform.startswith("linux"):
        return
    numbers = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    for orphan in {int(number) for number in numbers.split()} - children:
        try:
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError):
            continue
