"""Starting a server: what is refused, and that its worker is restarted."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.builders.commands import Ran
from tests.service.live import served


def test_a_public_address_is_refused_without_keys(afternorm: Callable[..., Ran], tmp_path: Path) -> None:
    ran = afternorm("serve", "--host", "0.0.0.0", "--data-dir", tmp_path / "data")
    assert ran.code == 2
    assert "--without-keys" in ran.err
    assert not (tmp_path / "data").exists()


def test_a_port_in_use_is_named(afternorm: Callable[..., Ran], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = afternorm("serve", "--port", taken.getsockname()[1], "--data-dir", tmp_path)
    assert ran.code == 2
    assert "--port" in ran.err


def test_a_bad_setting_is_named(afternorm: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERNORM_GRACE_SECONDS", "soon")
    ran = afternorm("serve", "--port", 0, "--data-dir", tmp_path)
    assert ran.code == 2
    assert "AFTERNORM_GRACE_SECONDS" in ran.err


def _is_worker(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[1:] == ["-m", "service.worker"]
    except psutil.NoSuchProcess:  # it ended just now, or has not been waited for
        return False


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _worker(previous: psutil.Process | None = None) -> psutil.Process:
    """The only worker, as soon as there is one other than ``previous``."""
    found: list[psutil.Process] = []

    def is_found() -> bool:
        found[:] = filter(_is_worker, psutil.Process().children(recursive=True))
        return len(found) == 1 and found[0] != previous

    _wait(is_found)
    return found[0]


def test_a_worker_that_is_killed_is_restarted_and_ends_with_its_server(tmp_path: Path) -> None:
    with served(tmp_path) as url:
        assert httpx2.get(f"{url}/readyz").status_code == 200
        first = _worker()
        first.kill()
        second = _worker(previous=first)
    assert not second.is_running()


def test_a_worker_ends_when_its_server_is_killed(tmp_path: Path) -> None:
    with served(tmp_path, killed=True):
        worker = _worker()
        server = worker.parent()
        assert server is not None
        server.kill()
    _wait(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_gc_lists_what_it_would_delete_and_then_deletes_it(afternorm: Callable[..., Ran], tmp_path: Path) -> None:
    with served(tmp_path, "--without-worker") as url:
        begun = httpx2.post(f"{url}/v1/uploads", json={"name": "a", "size": 3}).json()
    left = tmp_path / "uploads" / "upl_lost.part"
    left.write_bytes(b"x")
    os.utime(left, (0, 0))
    for options, gone in ((["--dry-run"], False), ([], True)):
        ran = afternorm("gc", "--data-dir", tmp_path, *options)
        assert ran.code == 0
        assert "upl_lost" in ran.out
        assert begun["id"] not in ran.out
        assert left.exists() is not gone
