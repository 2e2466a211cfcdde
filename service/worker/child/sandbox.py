"""The sandbox that a child enters, for good, before it opens a file from outside.

Limits: the child may still read what the server's user may read. Linux only; elsewhere every protection is missing.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable

OPEN_FILES = 1024
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


def enter(memory_bytes: int, file_bytes: int, slot: str, niceness: int) -> tuple[str, ...]:
    """Set resource limits and drop privileges; the names of the protections that this machine does not support.

    Call it with one thread, before torch starts more: a process with threads cannot enter a user namespace. On a GPU
    the memory is not limited, because its driver maps far more than it uses.
    """
    os.umask(0o077)
    os.nice(niceness)
    limits = {
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES,
    }
    if slot == "cpu":
        limits[resource.RLIMIT_DATA] = memory_bytes
    for kind, wanted in limits.items():
        _lower(kind, wanted)
    protections: dict[str, Callable[[], None]] = {
        "end with the worker": _end_with_worker,
        "no new privileges": _no_new_privileges,
        "no network": _no_network,
    }
    return tuple(name for name, protect in protections.items() if not _supported(protect))


def _lower(kind: int, wanted: int) -> None:
    hard = resource.getrlimit(kind)[1]
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (limit, limit))


def _supported(protect: Callable[[], None]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        protect()
    except OSError:
        return False
    return True


def _end_with_worker() -> None:
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _no_new_privileges() -> None:
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _no_network() -> None:
    """Enter an empty network namespace; that needs a user namespace, in which the user ID stays the same."""
    user = os.geteuid()
    _call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
    with open("/proc/self/uid_map", "w") as uid_map:  # noqa: PTH123 (one write, which the kernel wants whole)
        uid_map.write(f"{user} {user} 1")


def _call(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
