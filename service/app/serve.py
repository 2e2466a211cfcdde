"""``afternorm serve``: the REST API and a worker, on this machine, with no other server to install."""

import signal
import socket
import threading
from types import FrameType
from typing import Annotated

import typer

from calibrate.cli.console import note
from calibrate.errors import UsageError
from service.app.options import CpuSlots, DataDir, GpuSlots, check_host, require_server


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 8000,
    data_dir: DataDir = None,
    cpu_slots: CpuSlots = None,
    gpu_slots: GpuSlots = None,
    without_keys: Annotated[
        bool,
        typer.Option(
            "--without-keys", help="Listen on an address that other machines can reach, although there are no API keys."
        ),
    ] = False,
    without_worker: Annotated[
        bool, typer.Option("--without-worker", help="Serve requests only; run `afternorm worker` separately.")
    ] = False,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log each request.")] = False,
) -> None:
    """Serve the REST API; its description is at /openapi.json.

    Every setting is also an environment variable AFTERNORM_<SETTING>.
    """
    require_server()
    check_host(host, without_keys)

    from contextlib import nullcontext

    import uvicorn

    from service.api import create_app
    from service.app.worker_process import restarting_worker
    from service.settings import PREFIX, Settings

    settings = Settings.from_environment(data_dir=data_dir, cpu_slots=cpu_slots, gpu_slots=gpu_slots)
    listening = listen(host, port)
    config = uvicorn.Config(create_app(settings), access_log=access_log, timeout_graceful_shutdown=3, lifespan="on")
    given = {"data_dir": data_dir, "cpu_slots": cpu_slots, "gpu_slots": gpu_slots}
    environment = {PREFIX + name.upper(): str(value) for name, value in given.items() if value is not None}
    stop_now = stop_on_signals()
    worker = nullcontext() if without_worker else restarting_worker(environment, settings.drain_seconds, stop_now)
    shown, number = listening.getsockname()[:2]
    note(f"http://{f'[{shown}]' if ':' in shown else shown}:{number}, data directory {settings.data_dir}")
    with listening, worker:
        uvicorn.Server(config).run(sockets=[listening])
        note("draining: running jobs may finish; signal again to stop them now")


def stop_on_signals() -> threading.Event:
    """Handle SIGTERM and SIGINT: the first stops the HTTP server, the second sets the returned event.

    The HTTP server has its own signal handlers while it runs, and raises the signal again once it has stopped.
    """
    stop_now = threading.Event()
    seen: list[int] = []

    def note_signal(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            stop_now.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note_signal)
    return stop_now


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on the address; raises UsageError where that fails."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror}; pass another --port (0 for any that is free) "
            "or --host."
        ) from None
