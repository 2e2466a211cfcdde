"""The worker process: shutdown, temporary files of lost workers, and orphans."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from calibrate.demo import DemoInputs
from service.worker.scratch import Scratch
from tests.service.executor_contract import alive, until
from tests.service.server_data import ServerData
from tests.service.worker.fake_child_command import FAKE_CHILD


def start(folder: Path, **settings: object) -> subprocess.Popen[bytes]:
    environment = {f"AFTERNORM_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "service.worker"],
        env={**os.environ, "AFTERNORM_DATA_DIR": str(folder), **environment},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("how", ["signal", "pipe"])
def test_it_ends_when_told_to_and_leaves_nothing(tmp_path: Path, how: str) -> None:
    ServerData(tmp_path)
    worker = start(tmp_path)
    assert worker.stdin is not None
    until(lambda: any((tmp_path / "scratch").glob("*/lock")))
    if how == "signal":
        worker.send_signal(signal.SIGTERM)
    else:
        worker.stdin.close()
    assert worker.wait(5) == 0
    worker.stdin.close()
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["drained", "at once"])
def test_it_requeues_jobs_that_do_not_finish(tmp_path: Path, demo_inputs: DemoInputs, how: str) -> None:
    server_data = ServerData(tmp_path)
    job = server_data.quick_job(server_data.demo_model(demo_inputs), server_data.dataset(demo_inputs.digits))
    worker = start(tmp_path, drain_seconds=0 if how == "drained" else 60)
    assert worker.stdin is not None
    until(lambda: server_data.row(job).state == "running")
    worker.terminate()
    if how == "at once":
        worker.stdin.close()
    assert worker.wait(8) == 0
    worker.stdin.close()
    assert (server_data.row(job).state, server_data.row(job).attempt, server_data.row(job).lost_attempts) == (
        "queued",
        1,
        0,
    )
    assert server_data.states(job) == ["running", "queued"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_folders_of_lost_workers_are_removed_and_those_of_living_ones_are_not(tmp_path: Path) -> None:
    living, dead = Scratch(tmp_path, "living"), Scratch(tmp_path, "dead")
    (dead.folder / "leftover").mkdir()
    (tmp_path / "starting").mkdir()
    dead._lock.close()
    ours = Scratch(tmp_path, "ours")
    assert list(ours.remove_lost_workers()) == ["dead"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["living", "ours", "starting"]
    living.close()
    ours.close()
    assert [path.name for path in tmp_path.iterdir()] == ["starting"]


def test_folders_of_lost_workers_are_removed_though_a_process_of_theirs_still_writes_for_a_moment(
    tmp_path: Path,
) -> None:
    dead = Scratch(tmp_path, "dead")
    attempt = dead.folder / "attempt"
    dead._lock.close()
    writing = threading.Event()

    def write_on() -> None:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            with suppress(FileNotFoundError, FileExistsError):
                attempt.mkdir(exist_ok=True)
                for number in range(50):
                    (attempt / str(number)).touch()
            writing.set()

    straggler = threading.Thread(target=write_on)
    straggler.start()
    writing.wait()
    ours = Scratch(tmp_path, "ours")
    assert list(ours.remove_lost_workers()) == ["dead"]
    straggler.join()
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]
    ours.close()


HIDING = """
import sys, time
from pathlib import Path
from service.worker.executor import Attempt, Work
from service.worker.local import LocalExecutor
from service.worker.orphans import adopt_orphans, kill_orphans

adopt_orphans()
executor = LocalExecutor(Path(sys.argv[1]), 0.5, command=tuple(sys.argv[2:]))
executor.submit(Work(Attempt("job", 1), {"do": "hide"}, {}, "cpu", 600))
messages = []
while len(messages) < 2:
    messages += [message.done for _, message in executor.poll().messages]
    time.sleep(0.01)
while Path(f"/proc/{max(messages)}").exists():
    kill_orphans(executor.children())
    time.sleep(0.02)
print(max(messages), *executor.children(), flush=True)
sys.stdin.read()
executor.close()
"""


def test_a_process_that_left_its_group_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HIDING, str(tmp_path), *FAKE_CHILD]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    hidden, child = map(int, process.stdout.readline().split())
    assert not alive(hidden)
    assert alive(child)
    process.communicate()
    assert not alive(child)
