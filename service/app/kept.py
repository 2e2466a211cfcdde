"""A worker kept alive: started again whenever it dies, and drained at the end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from calibrate.cli.console import note

#: Seconds before a worker that died is started again; doubled each time it dies young, up to the last.
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0


@contextmanager
def kept_worker(environment: Mapping[str, str], drain_seconds: float) -> Iterator[None]:
    """Keep ``python -m service.worker`` running inside the block; at its end, let it drain.

    The worker's standard input is a pipe that is never written to: it closes when this process dies, however it dies,
    and the worker ends with it.
    """
    stopping = threading.Event()
    keeper = threading.Thread(target=_keep, args=(environment, stopping, drain_seconds), name="kept-worker")
    keeper.start()
    try:
        yield
    finally:
        stopping.set()
        keeper.join()


def _keep(environment: Mapping[str, str], stopping: threading.Event, drain_seconds: float) -> None:
    pause = FIRST_PAUSE
    while not stopping.is_set():
        worker = subprocess.Popen(
            [sys.executable, "-m", "service.worker"],
            stdin=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        lived = _wait(worker, stopping, drain_seconds)
        if stopping.is_set():
            return
        pause = FIRST_PAUSE if lived > LAST_PAUSE else min(2 * pause, LAST_PAUSE)
        note(f"the worker ended with {worker.returncode}; it is started again in {pause:g} s")
        stopping.wait(pause)


def _wait(worker: subprocess.Popen[bytes], stopping: threading.Event, drain_seconds: float) -> float:
    """Wait until the worker ends, or end it once ``stopping`` is set; give the seconds that it lived."""
    lived = 0.0
    with worker:  # which closes its standard input
        while worker.poll() is None:
            if stopping.wait(0.2):
                worker.send_signal(signal.SIGTERM)
                try:
                    worker.wait(drain_seconds + 10)
                except subprocess.TimeoutExpired:
                    worker.kill()
                break
            lived += 0.2
    return lived
