"""What is kept, where there is no disk, no folder, or no room for it."""

import errno
import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from calibrate.data import CacheBudget
from calibrate.data.kept import FILES, MEMORY, KeptExamples
from calibrate.memory_limits import memory_budget

SIZE = 1000


def example(number: int) -> Tensor:
    return torch.full((10, 100), number, dtype=torch.uint8)


def kept_of(kept: KeptExamples, count: int) -> list[bool]:
    """Whether each of ``count`` examples was kept; those that were are what they were."""
    found = [kept.keep_(number, example(number)) for number in range(count)]
    for number, there in enumerate(found):
        assert (number in kept) == there
        assert not there or torch.equal(kept.read(number), example(number))
    return found


@pytest.mark.parametrize(("memory", "files", "count"), [(0, 0, 0), (2, 0, 2), (0, 3, 3), (1, 2, 3)])
def test_no_more_is_kept_than_fits(memory: int, files: int, count: int) -> None:
    kept = KeptExamples(CacheBudget(memory * SIZE + SIZE - 1, files * SIZE + SIZE - 1))
    assert kept_of(kept, 5) == [True] * count + [False] * (5 - count)


def test_by_default_memory_is_a_share_of_what_the_process_may_use() -> None:
    budget = CacheBudget()
    assert 0 < budget.memory == min(MEMORY, memory_budget(torch.device("cpu")) // 4)
    assert budget.files == FILES


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux lists the open files")
def test_what_is_given_up_is_free_again_and_its_file_gone() -> None:
    budget = CacheBudget(SIZE, SIZE)
    first = KeptExamples(budget)
    opened = open_files()
    assert kept_of(first, 3) == [True, True, False]
    assert open_files() == opened + 1
    del first
    gc.collect()
    assert open_files() == opened
    assert kept_of(KeptExamples(budget), 3) == [True, True, False]


def test_the_file_has_no_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = KeptExamples(CacheBudget(0))
    assert kept_of(kept, 2) == [True, True]
    assert list(tmp_path.iterdir()) == []


def test_without_a_temporary_folder_memory_alone_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert kept_of(KeptExamples(CacheBudget(2 * SIZE)), 4) == [True, True, False, False]


def test_on_a_full_disk_what_was_written_is_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0

    def short(number: int, content: memoryview, offset: int) -> int:
        """A disk with room for two and a half examples, that takes at most 700 bytes at once."""
        nonlocal written
        if not (size := min(700, len(content), 2 * SIZE + SIZE // 2 - written)):
            raise OSError(errno.ENOSPC, "No space left on device")
        written += size
        return write(number, content[:size], offset)

    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", short)
    assert kept_of(KeptExamples(CacheBudget(0)), 4) == [True, True, False, False]


def test_files_take_no_more_than_they_leave_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk of 10,000 bytes, of which 5 examples take half."""
    disk = os.statvfs(tempfile.gettempdir())
    kept = KeptExamples(CacheBudget(0))
    free = 10 * SIZE

    def statvfs(_: int) -> os.statvfs_result:
        values = list(disk)
        values[1], values[4] = 1, free - sum(number in kept for number in range(10)) * SIZE
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert kept_of(kept, 10) == [True] * 5 + [False] * 5


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="no folder is known to be in memory")
def test_files_in_memory_take_no_more_than_memory_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")
    assert kept_of(KeptExamples(CacheBudget(2 * SIZE)), 6) == [True] * 4 + [False] * 2


def run_alone(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


PREPARE = """
import os, torch
from calibrate.data import CacheBudget
from calibrate.data.kept import KeptExamples
kept = KeptExamples(CacheBudget(0))
example = lambda number: torch.full((10, 100), number, dtype=torch.uint8)
same = lambda number: torch.equal(kept.read(number), example(number))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of this kind are of Unix")
def test_a_limit_on_the_size_of_files_is_no_error() -> None:
    limited = PREPARE + (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))\n"
        "print([kept.keep_(number, example(number)) for number in range(4)], same(0), same(1))"
    )
    assert run_alone(limited) == "[True, True, False, False] True True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_leaves_the_file_as_it_is() -> None:
    forked = PREPARE + (
        "kept.keep_(0, example(0))\n"
        "if (child := os.fork()) == 0:\n"
        "    os._exit(2 * same(0) + kept.keep_(1, example(9)))\n"
        "_, status = os.waitpid(child, 0)\n"
        "kept.keep_(1, example(1))\n"
        "print(os.waitstatus_to_exitcode(status), same(0), same(1))"
    )
    assert run_alone(forked) == "2 True True\n"
