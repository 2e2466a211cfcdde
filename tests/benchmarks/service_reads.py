"""Measure the server: reads per second, alone and beside two niced jobs, and one large upload.

Run: ``python -m tests.benchmarks.service_reads [--quick]``. The server is a process of its own, as ``afternorm serve``
starts it; this process is the client, which writes and reads raw HTTP so that it costs little itself.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.settings import Settings
from tests.service.api.running import OFFSET_STREAM, run

MIB = 2**20
CONNECTIONS = 8
JOBS = 200


def serve(folder: str, port: int) -> None:
    """Be the server."""
    import uvicorn

    from service.api import create_app

    uvicorn.run(create_app(Settings(data_dir=Path(folder))), port=port, access_log=False, log_level="warning")


def seed(folder: Path) -> list[str]:
    """Fill the database with jobs."""
    with run(folder) as server:
        model, dataset = server.model(), server.dataset()
        return [server.job(model, dataset) for _ in range(JOBS)]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int]]:
    """A server in a process of its own; its port and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(str(folder), port))
    process.start()
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        assert process.pid is not None
        yield port, process.pid
    finally:
        process.terminate()
        process.join()


async def read_for(port: int, paths: list[str], seconds: float) -> list[float]:
    """Read on several connections at once; the seconds that each read took."""
    taken: list[float] = []
    until = time.perf_counter() + seconds

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turn = number
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(f"GET {paths[turn % len(paths)]} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            taken.append(time.perf_counter() - began)
            turn += CONNECTIONS
        writer.close()

    await asyncio.gather(*map(client, range(CONNECTIONS)))
    return taken


def report(name: str, taken: list[float], seconds: float) -> None:
    """Say how many reads there were, and how long they took."""
    cuts = statistics.quantiles(taken, n=100)
    print(f"{name}: {len(taken) / seconds:.0f} reads/s, p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms")


@contextmanager
def niced_jobs(number: int) -> Iterator[None]:
    """Processes that keep a core each busy, as jobs do."""
    code = "import os; os.nice(10)\nimport torch; torch.set_num_threads(1)\nx = torch.randn(512, 512)\nwhile 1: x @ x"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(number)]
    time.sleep(6)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def resident(process: int) -> float:
    """The most memory the process ever held, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def upload(port: int, process: int, size: int) -> None:
    """Send one large file, and say how fast it went and what the server needed for it."""
    before = resident(process)
    body = json.dumps({"name": "large.npz", "size": size}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/uploads", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request) as answer:
        identity = json.load(answer)["id"]
    chunk = os.urandom(MIB)
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = (
            f"PATCH /v1/uploads/{identity} HTTP/1.1\r\nHost: here\r\nUpload-Offset: 0\r\nContent-Type: {OFFSET_STREAM}"
            f"\r\nContent-Length: {size}\r\n\r\n"
        )
        connection.sendall(head.encode())
        for _ in range(size // MIB):
            connection.sendall(chunk)
        sent = time.perf_counter() - began
        answer_head: Any = connection.recv(1000)
    took = time.perf_counter() - began
    assert answer_head.startswith(b"HTTP/1.1 204"), answer_head
    print(
        f"{size // MIB} MiB sent: {size / MIB / took:.0f} MiB/s ({sent:.1f} s to take, {took - sent:.1f} s to hash "
        f"and sync); peak memory {before:.0f} -> {resident(process):.0f} MiB"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    seconds, size = (2.0, 64 * MIB) if parser.parse_args().quick else (10.0, 1024 * MIB)
    with tempfile.TemporaryDirectory() as name:
        jobs = seed(Path(name))
        one, page = [f"/v1/jobs/{job}" for job in jobs], ["/v1/jobs?limit=50"]
        with serving(Path(name)) as (port, process):
            asyncio.run(read_for(port, one, 1.0))
            report("one job, idle", asyncio.run(read_for(port, one, seconds)), seconds)
            report("page of 50, idle", asyncio.run(read_for(port, page, seconds)), seconds)
            with niced_jobs(2):
                report("one job, beside two niced jobs", asyncio.run(read_for(port, one, seconds)), seconds)
            upload(port, process, size)


if __name__ == "__main__":
    main()
