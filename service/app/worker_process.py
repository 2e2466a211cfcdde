"""Run the worker as a child process: restart it when it exits, drain it at shutdown."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from calibrate.cli.console import note

#: Restart delay in seconds; doubled each time the worker exits sooner than the maximum after its start.
MIN_BACKOFF, MAX_BACKOFF = 0.5, 30.0
#: Seconds between polls of the worker.
POLL_SECONDS = 0.2
#: Seconds after the drain until a worker that was told to stop is killed.
GRACE_SECONDS = 10.0


@contextmanager
def restarting_worker(
    environment: Mapping[str, str], drain_seconds: float, stop_now: threading.Event
) -> Iterator[None]:
    """Run ``python -m service.worker`` in the block, restarted when it exits; then drain it, until ``stop_now`` is set.

    The worker's standard input is a pipe that is never written to. It closes when this process ends, even if it is
    killed, and then the worker ends too.
    """
    stopping = threading.Event()
    restarter = threading.Thread(
        target=_run_and_restart,
        args=(environment, stopping, stop_now, drain_seconds + GRACE_SECONDS),
        name="restarting-worker",
    )
    restarter.start()
    try:
        yield
    finally:
        stopping.set()
        restarter.join()


def _run_and_restart(
    environment: Mapping[str, str], stopping: threading.Event, stop_now: threading.Event, kill_after: float
) -> None:
    backoff = MIN_BACKOFF
    while not stopping.is_set():
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "service.worker"],
            stdin=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
        ) as worker:  # which closes its standard input, and waits
            while worker.poll() is None and not stopping.wait(POLL_SECONDS):
                pass
            if worker.poll() is None:
                _stop(worker, stop_now, kill_after)
                return
        backoff = MIN_BACKOFF if time.monotonic() - began > MAX_BACKOFF else min(2 * backoff, MAX_BACKOFF)
        note(f"the worker exited with code {worker.returncode}; restarting it in {backoff:g} s")
        stopping.wait(backoff)


def _stop(worker: "subprocess.Popen[bytes]", stop_now: threading.Event, kill_after: float) -> None:
    """Send SIGTERM, a second one once ``stop_now`` is set, and SIGKILL after ``kill_after`` seconds."""
    worker.terminate()
    deadline = time.monotonic() + kill_after
    stopped_now = False
    while worker.poll() is None and time.monotonic() < deadline:
        if stop_now.wait(POLL_SECONDS) and not stopped_now:
            worker.terminate()
            stopped_now = True
        elif stopped_now:
            time.sleep(POLL_SECONDS)
    if worker.poll() is None:
        worker.kill()
