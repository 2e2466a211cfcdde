"""The process: it keeps the memory that it frees, and takes as many threads as it was told."""

import subprocess
import sys

import pytest
import torch

from calibrate.engine import set_up_process

#: Together 256 MiB, more than glibc ever keeps of its own accord.
FREE_TENSORS = """
import resource, torch
from calibrate.engine import set_up_process

def faults_of_tensors():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [torch.ones(2**22) for _ in range(16)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(*(faults_of_tensors() for _ in range(3)))
set_up_process()
print(*(faults_of_tensors() for _ in range(3)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can be told to keep memory")
def test_the_pages_of_freed_tensors_serve_the_next_ones() -> None:
    told = subprocess.run([sys.executable, "-c", FREE_TENSORS], check=True, capture_output=True, text=True).stdout
    before, (_, *after) = ([int(faults) for faults in line.split()] for line in told.splitlines())
    assert max(after) < max(before) / 4


def test_threads_are_as_told_or_as_they_were() -> None:
    for told, threads in ((2, 2), (None, 2), (1, 1)):
        set_up_process(told)
        assert torch.get_num_threads() == threads
