"""The memory that suspended batches and cached examples may hold where the caller names no number."""

import os
import sys
from pathlib import Path

import torch

#: What this process may use is shared with the network, the data and whoever else there is.
SHARE = 4
#: Where the machine does not say how much memory there is.
UNKNOWN = 1 << 30

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
MOUNTS = Path("/proc/self/mountinfo")


def memory_budget(device: torch.device) -> int:
    """A quarter of the bytes that this process may use on ``device``.

    On a CPU that is the machine's memory, or a lower limit set on the process or its container; on a GPU what is free.

    >>> memory_budget(torch.device("cpu")) > 0
    True
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // SHARE
    return min(_limits(), default=SHARE * UNKNOWN) // SHARE


def is_in_memory(file: int) -> bool:
    """Whether the open file of that number lies in memory, as in temporary folders of some systems; Linux tells."""
    device = os.fstat(file).st_dev
    for line in MOUNTS.read_text().splitlines() if MOUNTS.is_file() else ():
        place, kind = (part.split() for part in line.split(" - ", 1))
        if place[2] == f"{os.major(device)}:{os.minor(device)}":
            return kind[0] in ("tmpfs", "ramfs")
    return False


def _limits() -> list[int]:
    if sys.platform == "win32":
        return []
    import resource

    softs = (resource.getrlimit(limit)[0] for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    container = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.is_file() else "max"
    return [
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        *(soft for soft in softs if soft != resource.RLIM_INFINITY),
        *([int(container)] if container.isdecimal() else []),
    ]
