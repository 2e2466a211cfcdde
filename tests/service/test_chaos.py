"""Chaos: children, workers and servers are killed at random, and every job ends once, as if undisturbed.

``AFTERNORM_CHAOS_ROUNDS=100`` kills more often.
"""

import hashlib
import os
import random
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import psutil
import pytest

from calibrate.demo import DemoInputs
from calibrate.result import Summary
from tests.service.executor_contract import until
from tests.service.live import COMMAND
from tests.service.server_data import ServerData
from tests.service.worker.server import Server

ROUNDS = int(os.environ.get("AFTERNORM_CHAOS_ROUNDS", "10"))
OVER = ("succeeded", "failed", "cancelled")
STREAM = "application/offset+octet-stream"

pytestmark = pytest.mark.slow


class Served:
    """``afternorm serve``, restarted when it was killed; its children are workers, and theirs are jobs."""

    def __init__(self, folder: Path, log: Path, **settings: object) -> None:
        self._folder, self._log = folder, log
        self._environment = {f"AFTERNORM_{name.upper()}": str(value) for name, value in settings.items()}
        self.killed = {"job": 0, "worker": 0, "server": 0}
        self.start()

    def start(self) -> None:
        with self._log.open("w") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--port", "0", "--data-dir", str(self._folder)],
                env={**os.environ, **self._environment},
                stderr=errors,
            )
        until(lambda: re.search(r"^http://[^,]+", self._log.read_text(), re.MULTILINE) is not None)
        (self.url,) = re.findall(r"^http://[^,]+", self._log.read_text(), re.MULTILINE)
        until(self._is_ready)

    def kill(self, chance: random.Random) -> None:
        """Kill a server, a worker or a job, whichever chance picks of the kinds that there are."""
        before = sum(self.killed.values())
        while sum(self.killed.values()) == before:
            with suppress(psutil.NoSuchProcess):  # a job that ended by itself just now
                self._kill(chance)

    def _kill(self, chance: random.Random) -> None:
        server = psutil.Process(self.process.pid)
        below = server.children(recursive=True)
        victims = {
            "server": [server],
            "worker": [process for process in below if process.ppid() == server.pid],
            "job": [process for process in below if process.ppid() != server.pid],
        }
        kind = chance.choice([kind for kind, there in victims.items() if there])
        victim = chance.choice(victims[kind])
        victim.kill()
        self.killed[kind] += 1
        if kind == "server":
            self.process.wait()
            self.start()
        else:
            victim.wait(10)

    def places(self) -> set[Path]:
        """The folders of temporary files of the running workers: each has the lock of its own open."""
        workers = psutil.Process(self.process.pid).children()
        with suppress(psutil.NoSuchProcess):
            return {Path(file.path).parent for each in workers for file in each.open_files() if "/lock" in file.path}
        return set()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz").status_code == 200
        except httpx2.TransportError:
            return False


def half_upload(url: str, content: bytes) -> str:
    """Send the first half of ``content``; the upload's path."""
    about = {"name": "half", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    upload: str = httpx2.post(f"{url}/v1/uploads", json=about).headers["Location"]
    assert append(url, upload, 0, content[: len(content) // 2]) == 204
    return upload


def append(url: str, upload: str, offset: int, content: bytes) -> int:
    headers = {"Upload-Offset": str(offset), "Content-Type": STREAM}
    return httpx2.patch(f"{url}{upload}", content=content, headers=headers).status_code


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


def digests(server_data: ServerData, *jobs: str) -> set[str]:
    return {Summary.model_validate(server_data.summary(job)).digest for job in jobs}


def test_every_job_ends_once_and_as_if_undisturbed(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    calm = Server(tmp_path / "calm")
    undisturbed = calm.server_data.quick_job(
        calm.server_data.demo_model(demo_inputs), calm.server_data.dataset(demo_inputs.digits)
    )
    calm.run(undisturbed)
    calm.executor.close()

    server_data = ServerData(tmp_path / "chaos")
    model, dataset = server_data.demo_model(demo_inputs), server_data.dataset(demo_inputs.digits)
    settings = {"attempts": 20, "lease_seconds": 2, "heartbeat_seconds": 0.5, "cpu_slots": 2, "drain_seconds": 1}
    jobs = [server_data.quick_job(model, dataset)]
    server = Served(server_data.folder, tmp_path / "log.txt", **settings)
    halves: dict[str, bytes] = {}
    for _ in range(ROUNDS):
        if all(server_data.row(job).state in OVER or server_data.row(job).attempt > 5 for job in jobs):
            jobs.append(server_data.quick_job(model, dataset))
        content = chance.randbytes(100_000)
        halves[half_upload(server.url, content)] = content
        time.sleep(chance.uniform(0.1, 9))
        server.kill(chance)
    until(lambda: all(server_data.row(job).state in OVER for job in jobs))
    for upload, content in halves.items():
        digest, middle = hashlib.sha256(content).hexdigest(), len(content) // 2
        assert server_data.blobs.size(digest) is None, "half an upload is a blob"
        assert httpx2.head(f"{server.url}/v1/blobs/sha256:{digest}").status_code == 404
        assert httpx2.head(f"{server.url}{upload}").headers["Upload-Offset"] == str(middle)
    assert append(server.url, upload, middle, content[middle:]) == 204
    assert httpx2.get(f"{server.url}/v1/blobs/sha256:{digest}").content == content
    scratch = server_data.folder / "scratch"
    until(lambda: set(scratch.iterdir()) == server.places())  # the next worker deletes the folders of lost ones
    assert server.stop() == 0

    for job in jobs:
        assert server_data.row(job).state == "succeeded", seed
        states = server_data.states(job)
        assert states.count("succeeded") == 1, seed
        assert states == ["running", "queued"] * (len(states) // 2 - 1) + ["running", "succeeded"], seed
        attempts = [event.attempt for event in server_data.events(job)]
        assert attempts == sorted(attempts), "a stale attempt wrote"
        assert len({trial.key for trial in server_data.trials(job)}) == len(server_data.trials(job)) > 5
    assert sum(server_data.row(job).attempt - 1 for job in jobs) > 0, server.killed
    assert digests(server_data, *jobs) == digests(calm.server_data, undisturbed), seed
    for path in server_data.blobs.root.glob("??/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name
    assert working_below(server_data.folder) == []
    assert list(scratch.iterdir()) == []
