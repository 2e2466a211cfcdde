"""``afternorm serve``: the HTTP interface and a worker, on this machine, with no other server to install."""

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
        bool, typer.Option("--without-keys", help="Listen where others can reach it, though nobody needs a key.")
    ] = False,
    without_worker: Annotated[
        bool, typer.Option("--without-worker", help="Take requests only; run `afternorm worker` beside it.")
    ] = False,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log each request.")] = False,
) -> None:
    """Serve the REST interface; its description is at /openapi.json.

    Every setting is also an environment variable AFTERNORM_<SETTING>.
    """
    require_server()
    check_host(host, without_keys)

    from contextlib import nullcontext

    import uvicorn

    from service.api import create_app
    from service.app.kept import kept_worker
    from service.settings import PREFIX, Settings

    settings = Settings.from_environment(data_dir=data_dir, cpu_slots=cpu_slots, gpu_slots=gpu_slots)
    listening = listen(host, port)
    config = uvicorn.Config(create_app(settings), access_log=access_log, timeout_graceful_shutdown=3, lifespan="on")
    given = {"data_dir": data_dir, "cpu_slots": cpu_slots, "gpu_slots": gpu_slots}
    environment = {PREFIX + name.upper(): str(value) for name, value in given.items() if value is not None}
    hurry = stop_on_signals()
    worker = nullcontext() if without_worker else kept_worker(environment, settings.drain_seconds, hurry)
    shown, number = listening.getsockname()[:2]
    note(f"http://{f'[{shown}]' if ':' in shown else shown}:{number}, keeping everything in {settings.data_dir}")
    with listening, worker:
        uvicorn.Server(config).run(sockets=[listening])
        note("running jobs have a while to end; once more to stop them now")


def stop_on_signals() -> threading.Event:
    """Outlive the first SIGTERM or SIGINT, which ends the HTTP server; the event is set by the next.

    While it runs, the HTTP server has handlers of its own; once it has stopped, it hands the signal on.
    """
    hurry = threading.Event()
    seen: list[int] = []

    def note_signal(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            hurry.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note_signal)
    return hurry


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises UsageError where that cannot be."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(
            f"nothing can listen on {host} port {port}: {error.strerror}; pass another --port (0 for any that is free) "
            "or --host."
        ) from None
