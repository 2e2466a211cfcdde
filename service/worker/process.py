"""The worker process: startup, main loop and shutdown."""

import logging
import os
import select
import signal
import socket
import stat
import sys
import time

from service.db import open_database
from service.kit.ids import new_id
from service.settings import Settings
from service.storage import Blobs
from service.worker.local import LocalExecutor
from service.worker.orphans import adopt_orphans, kill_orphans
from service.worker.scratch import Scratch
from service.worker.supervisor import Supervisor

PAUSE_SECONDS = 0.1
PAUSE_AFTER_ERROR_SECONDS = 1.0
#: After the drain, for requeueing the jobs that were stopped; where that fails, their leases expire.
REQUEUE_SECONDS = 5.0

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Run jobs until SIGTERM or SIGINT, or, where standard input is a pipe, until it closes.

    After a signal, running jobs have ``drain_seconds`` to end; a second signal, or the pipe's end, stops them at once.
    Jobs that were stopped are requeued.
    """
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: signals.append(number))
    adopt_orphans()
    database = open_database(settings.data_dir)
    worker = new_id(socket.gethostname())
    scratch = Scratch(settings.data_dir / "scratch", worker)
    executor = LocalExecutor(scratch.folder, settings.grace_seconds, settings.gpu_slots)
    supervisor = Supervisor(database, Blobs(settings.data_dir), executor, settings, worker)
    try:
        supervisor.recover(tuple(scratch.remove_lost_workers()))
        log.info("worker %s: %d CPU slots, %d GPU slots", worker, settings.cpu_slots, settings.gpu_slots)
        stop_at = float("inf")
        while not (signals and (supervisor.idle or time.monotonic() > stop_at + REQUEUE_SECONDS)):
            succeeded = supervisor.step()
            kill_orphans(executor.children())
            if _stdin_closed(PAUSE_SECONDS if succeeded else PAUSE_AFTER_ERROR_SECONDS):
                signals += [signal.SIGTERM, signal.SIGTERM]
            if signals and stop_at == float("inf"):
                supervisor.drain()
                stop_at = time.monotonic() + settings.drain_seconds
            if len(signals) > 1:
                stop_at = min(stop_at, time.monotonic())
            if time.monotonic() >= stop_at:
                supervisor.stop()
    finally:
        executor.close()
        scratch.close()
        database.close()


def _stdin_closed(seconds: float) -> bool:
    """Sleep; whether standard input is a pipe whose other end has closed."""
    try:
        piped = stat.S_ISFIFO(os.fstat(0).st_mode) or stat.S_ISSOCK(os.fstat(0).st_mode)
    except OSError:
        piped = False
    if not piped:
        time.sleep(seconds)
        return False
    ready, _, _ = select.select([0], [], [], seconds)
    return bool(ready) and not os.read(0, 4096)


def main(settings: Settings) -> None:
    """Run a worker; its log goes to standard error."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    run(settings)
