"""The local executor: the contract of executors, GPUs and descriptors."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.worker.assignment import Assignment, DatasetCheck
from service.worker.executor import Attempt, Work
from service.worker.local import LocalExecutor
from service.worker.orphans import PR_SET_CHILD_SUBREAPER, adopt_orphans
from tests.service.executor_contract import ExecutorContract, MessageCollector, alive
from tests.service.worker.fake_child_command import FAKE_CHILD


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, tmp_path: Path) -> Iterator[LocalExecutor]:
        executor = LocalExecutor(tmp_path / "scratch", grace_seconds=0.5, gpus=2, command=FAKE_CHILD)
        yield executor
        executor.close()

    def test_each_gpu_is_given_once(self, executor: LocalExecutor, collector: MessageCollector) -> None:
        seen = []
        for number in (1, 2):
            waiting = Work(Attempt("job_wait", number), {"do": "wait"}, {}, "gpu", 600)
            executor.submit(waiting)
            collector.until_message(waiting.attempt)
            pid = max(executor.children())
            seen.append(Path(f"/proc/{pid}/environ").read_bytes().split(b"CUDA_VISIBLE_DEVICES=")[1][:1])
        assert sorted(seen) == [b"0", b"1"]
        executor.cancel(Attempt("job_wait", 1))
        collector.until_ended(Attempt("job_wait", 1))
        third = Work(Attempt("job_wait", 3), {"do": "wait"}, {}, "gpu", 600)
        executor.submit(third)
        assert len(executor.children()) == 2

    def test_no_descriptor_is_left_behind(self, executor: LocalExecutor, collector: MessageCollector) -> None:
        def open_ones() -> int:
            return len(list(Path("/proc/self/fd").iterdir()))

        before = open_ones()
        for number in range(3):
            work = self.work("finish", number)
            executor.submit(work)
            collector.until_ended(work.attempt)
        assert open_ones() == before


DIES = """
import json, sys, time
from pathlib import Path
from service.worker.executor import Attempt, Work
from service.worker.local import LocalExecutor
from service.worker.orphans import PR_SET_CHILD_SUBREAPER, adopt_orphans

executor = LocalExecutor(Path(sys.argv[1]), 0.5)
executor.submit(Work(Attempt("job", 1), json.loads(sys.argv[2]), {}, "cpu", 600))
while not executor.poll().messages:
    time.sleep(0.01)
print(*executor.children(), flush=True)
time.sleep(3600)
"""


def test_a_child_ends_with_a_killed_executor(tmp_path: Path) -> None:
    """The real child, in the seconds that it takes to import torch: killed by the system, or by its own watch (1)."""
    assignment = Assignment(
        request=DatasetCheck(data="none.npz"),
        slot="cpu",
        factories=(),
        memory_bytes=2**32,
        file_bytes=2**20,
    )
    command = [sys.executable, "-c", DIES, str(tmp_path), assignment.model_dump_json()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    assert alive(child)
    adopt_orphans()
    try:
        process.kill()
        process.wait()
        process.stdout.close()
        _, status = os.waitpid(child, 0)
    finally:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (0, 0, 0, 0)))
    assert os.waitstatus_to_exitcode(status) in (-signal.SIGKILL, 1)
