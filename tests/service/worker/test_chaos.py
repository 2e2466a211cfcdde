"""Chaos: children and workers are killed at random, and every job ends once, as if nobody had touched it.

``AFTERNORM_CHAOS_ROUNDS=100`` kills more often.
"""

import hashlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from calibrate.demo import DemoInputs
from calibrate.result import Summary
from tests.service.executor_contract import until
from tests.service.house import House
from tests.service.worker.server import Server
from tests.service.worker.test_process import start

ROUNDS = int(os.environ.get("AFTERNORM_CHAOS_ROUNDS", "10"))
OVER = ("succeeded", "failed", "cancelled")

pytestmark = pytest.mark.slow


def children(pid: int) -> list[int]:
    try:
        return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def working_below(folder: Path) -> list[int]:
    """Processes whose working directory is in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = (process / "cwd").readlink()
        except OSError:
            continue
        if place.is_relative_to(folder):
            found.append(int(process.name))
    return found


def kill(worker: "subprocess.Popen[bytes]", chance: random.Random) -> bool:
    """Kill a child, if there is one and chance wants that, else the worker; whether it was the worker."""
    victims = children(worker.pid)
    if victims and chance.random() < 0.5:
        os.kill(chance.choice(victims), signal.SIGKILL)
        return False
    worker.kill()
    worker.wait()
    assert worker.stdin is not None
    worker.stdin.close()
    return True


def digests(house: House, *jobs: str) -> set[str]:
    return {Summary.model_validate(house.summary(job)).digest for job in jobs}


def test_every_job_ends_once_and_as_if_undisturbed(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    calm = Server(tmp_path / "calm")
    undisturbed = calm.house.quick_job(calm.house.demo_model(demo_inputs), calm.house.dataset(demo_inputs.digits))
    calm.run(undisturbed)
    calm.executor.close()

    house = House(tmp_path / "chaos")
    model, dataset = house.demo_model(demo_inputs), house.dataset(demo_inputs.digits)
    settings = {"attempts": 20, "lease_seconds": 2, "heartbeat_seconds": 0.5, "cpu_slots": 2}
    jobs = [house.quick_job(model, dataset)]
    worker = start(house.folder, **settings)
    for _ in range(ROUNDS):
        if all(house.row(job).state in OVER or house.row(job).lost > 5 for job in jobs):
            jobs.append(house.quick_job(model, dataset))
        time.sleep(chance.uniform(0.1, 9))
        if kill(worker, chance):
            worker = start(house.folder, **settings)
    until(lambda: all(house.row(job).state in OVER for job in jobs), 300)
    worker.terminate()
    assert worker.wait(10) == 0
    assert worker.stdin is not None
    worker.stdin.close()

    for job in jobs:
        assert house.row(job).state == "succeeded", seed
        states = house.states(job)
        assert states.count("succeeded") == 1, seed
        assert states == ["running", "queued"] * (len(states) // 2 - 1) + ["running", "succeeded"], seed
        attempts = [event.attempt for event in house.events(job)]
        assert attempts == sorted(attempts), "a stale attempt wrote"
        assert len({trial.key for trial in house.trials(job)}) == len(house.trials(job)) > 5
    assert sum(house.row(job).lost for job in jobs) > 0
    assert digests(house, *jobs) == digests(calm.house, undisturbed), seed
    for path in house.blobs.root.glob("??/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name
    assert working_below(house.folder) == []
    assert list((house.folder / "scratch").iterdir()) == []
