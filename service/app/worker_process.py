"""A worker kept alive: started again whenever it dies, and drained at the end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from calibrate.cli.console import note

#: Seconds before a worker that died is started again; doubled each time it dies young, up to the last.
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
#: Seconds between looks at the worker.
LOOK = 0.2


#: Seconds beyond draining before a worker that was told to stop is killed.
GRACE = 10.0


@contextmanager
def kept_worker(environment: Mapping[str, str], drain_seconds: float, hurry: threading.Event) -> Iterator[None]:
    """Keep ``python -m service.worker`` running inside the block; then let it drain, unless ``hurry`` is set.

    The worker's standard input is a pipe that is never written to: it closes when this process dies, however it dies,
    and the worker ends with it.
    """
    stopping = threading.Event()
    keeper = threading.Thread(
        target=_keep, args=(environment, stopping, hurry, drain_seconds + GRACE), name="kept-worker"
    )
    keeper.start()
    try:
        yield
    finally:
        stopping.set()
        keeper.join()


def _keep(environment: Mapping[str, str], stopping: threading.Event, hurry: threading.Event, patience: float) -> None:
    pause = FIRST_PAUSE
    while not stopping.is_set():
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "service.worker"],
            stdin=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
        ) as worker:  # which closes its standard input, and waits
            while worker.poll() is None and not stopping.wait(LOOK):
                pass
            if worker.poll() is None:
                _stop(worker, hurry, patience)
                return
        pause = FIRST_PAUSE if time.monotonic() - began > LAST_PAUSE else min(2 * pause, LAST_PAUSE)
        note(f"the worker ended with {worker.returncode}; it is started again in {pause:g} s")
        stopping.wait(pause)


def _stop(worker: "subprocess.Popen[bytes]", hurry: threading.Event, patience: float) -> None:
    """SIGTERM, a second one when there is a hurry, and SIGKILL after ``patience`` seconds."""
    worker.terminate()
    deadline = time.monotonic() + patience
    hurried = False
    while worker.poll() is None and time.monotonic() < deadline:
        if hurry.wait(LOOK) and not hurried:
            worker.terminate()
            hurried = True
        elif hurried:
            time.sleep(LOOK)
    if worker.poll() is None:
        worker.kill()
