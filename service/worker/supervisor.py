"""The supervisor: takes jobs from the database, has them carried out, and writes down what becomes of them."""

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import OperationalError

from service.db import Database
from service.jobs import attempts
from service.jobs.attempts import Claim, Lane, StaleError
from service.settings import Settings
from service.storage import Blob, Blobs
from service.worker.executor import Attempt, Ended, Executor
from service.worker.job_assignment import assign
from service.worker.messages import (
    ArtifactWritten,
    Checked,
    Failed,
    Finished,
    Message,
    ProgressMade,
    Sandboxed,
    TrialDone,
)
from service.worker.problems import no_space, timed_out
from service.worker.throttle import Throttle

#: An attempt that wants more files stored than this is broken.
MOST_FILES = 1000
#: Places for checks, beside those for jobs: a new file need not wait for hours of calibration.
CHECK_PLACES = 1

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Running:
    """An attempt under way; ``last`` is how the child says that it ended."""

    claim: Claim
    lane: Lane
    is_check: bool
    timeout_seconds: float
    throttle: Throttle = field(default_factory=Throttle)
    files: int = 0
    last: Finished | Checked | Failed | None = None
    broken: bool = False
    requeue: bool = False


class Supervisor:
    """Carries out jobs by calls of :meth:`step`, which may be at any time and never wait for a job.

    What was heard of attempts is written down in order, one transaction for each; while the database cannot be
    written to, it waits, and nothing more is heard. A stale attempt is stopped and nothing of it is written.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        executor: Executor,
        settings: Settings,
        worker: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._executor = executor
        self._settings = settings
        self._worker = worker
        self._clock = clock
        self._running: dict[Attempt, _Running] = {}
        self._heard: deque[tuple[Attempt, Message | Ended]] = deque()
        self._renew_at = float("-inf")
        self._draining = False

    @property
    def idle(self) -> bool:
        """Whether no attempt is under way."""
        return not self._running

    def recover(self, dead: tuple[str, ...]) -> None:
        """Queue again what ``dead`` workers held, without waiting for their leases to end."""
        with self._database.write() as connection:
            attempts.expire(connection, self._clock(), self._settings.attempts, dead)

    def step(self) -> bool:
        """Do what there is to do; False where the database could not be used, and it is to be done later."""
        try:
            self._write_down()
            self._keep_alive()
            self._stop_cancelled()
            if not self._draining:
                self._start()
        except (OperationalError, sqlite3.OperationalError) as error:
            log.warning("the database cannot be used now: %s", error)
            return False
        return True

    def drain(self) -> None:
        """Start no more jobs."""
        self._draining = True

    def stop(self) -> None:
        """Start no more jobs, stop those under way, and put them back; they are written down by further steps."""
        self.drain()
        for attempt, running in self._running.items():
            running.requeue = True
            self._executor.cancel(attempt)

    def _write_down(self) -> None:
        if not self._heard:
            heard = self._executor.poll()
            self._heard.extend(heard.messages)
            self._heard.extend((ended.attempt, ended) for ended in heard.ended)
        while self._heard:
            attempt, said = self._heard[0]
            if (running := self._running.get(attempt)) is not None:
                self._write_one(attempt, running, said)
            self._heard.popleft()
            self._keep_alive()
        for attempt, running in self._running.items():
            self._write_progress(attempt, running)

    def _write_one(self, attempt: Attempt, running: _Running, said: Message | Ended) -> None:
        try:
            if isinstance(said, Ended):
                self._write_progress(attempt, running, last=True)
                self._settle(running, said)
            else:
                self._note(attempt, running, said)
        except StaleError:
            self._executor.cancel(attempt)
        if isinstance(said, Ended):
            self._executor.forget(attempt)
            del self._running[attempt]

    def _note(self, attempt: Attempt, running: _Running, message: Message) -> None:
        if running.broken or running.last is not None:
            return
        match message:
            case ProgressMade():
                running.throttle.offer(message)
            case Sandboxed(missing=missing):
                if missing:
                    with self._database.write() as connection:
                        attempts.record_unprotected(connection, running.claim, missing)
            case TrialDone(key=key, stage=stage, examples=examples, file=file):
                if blob := self._store(attempt, running, file):
                    with self._database.write() as connection:
                        attempts.record_trial(connection, running.claim, key, stage, examples, blob)
                    running.files += 1
            case ArtifactWritten(file=file, media_type=media_type):
                if blob := self._store(attempt, running, file):
                    with self._database.write() as connection:
                        attempts.record_artifact(connection, running.claim, file, media_type, blob)
                    running.files += 1
            case Finished() | Checked() | Failed():
                running.last = message

    def _store(self, attempt: Attempt, running: _Running, name: str) -> Blob | None:
        """A copy of a child's file; None where it cannot be stored, which then is the end of the attempt."""
        try:
            if running.files >= MOST_FILES:
                raise FileNotFoundError(f"more than {MOST_FILES} files")
            return self._blobs.copy(self._executor.file(attempt, name))
        except FileNotFoundError as error:
            log.warning("%s is broken: %s", attempt, error)
            running.broken = True
        except OSError as error:
            log.warning("a file of %s cannot be stored: %s", attempt, error)
            running.last = Failed(problem=no_space())
        self._executor.cancel(attempt)
        return None

    def _write_progress(self, attempt: Attempt, running: _Running, *, last: bool = False) -> None:
        progress = running.throttle.take(time.monotonic(), last=last)
        if progress is None:
            return
        try:
            with self._database.write() as connection:
                attempts.record_progress(connection, running.claim, progress.stage, progress.done, progress.total)
        except StaleError:
            self._executor.cancel(attempt)

    def _settle(self, running: _Running, ended: Ended) -> None:
        """Write down how the attempt ended. Its weights are stored first, since no transaction should wait for that."""
        claim = running.claim
        weights = None
        if isinstance(running.last, Checked) and running.last.weights is not None:
            weights = self._store(ended.attempt, running, running.last.weights)
        if ended.last_words:
            log.info("%s, exit code %d, said:\n%s", ended.attempt, ended.exit_code, ended.last_words)
        with self._database.write() as connection:
            match attempts.states_of(connection, [claim]).get(claim), running.last:
                case None, _:
                    raise StaleError(claim)
                case "cancelling", _:
                    attempts.cancelled(connection, claim)
                case _, Failed(problem=problem):
                    attempts.fail(connection, claim, problem)
                case _, Checked(facts=facts) if running.is_check and not running.broken:
                    attempts.succeed_check(connection, claim, facts, weights)
                case _, Finished(verdict=verdict) if not running.is_check and not running.broken:
                    attempts.succeed(connection, claim, verdict)
                case _ if ended.timed_out:
                    attempts.fail(connection, claim, timed_out(running.timeout_seconds))
                case _ if running.requeue:
                    attempts.requeue(connection, claim)
                case _:
                    attempts.mark_lost(connection, claim, self._settings.attempts)

    def _keep_alive(self) -> None:
        """Renew the leases, and see to those that others let end."""
        now = self._clock()
        if now < self._renew_at:
            return
        with self._database.write() as connection:
            claims = [running.claim for running in self._running.values()]
            attempts.renew(connection, claims, now + self._settings.lease_seconds)
            attempts.expire(connection, now, self._settings.attempts)
        self._renew_at = now + self._settings.heartbeat_seconds

    def _stop_cancelled(self) -> None:
        """Stop what clients no longer want, and what is not ours any more."""
        with self._database.read() as connection:
            states = attempts.states_of(connection, [running.claim for running in self._running.values()])
        for attempt, running in self._running.items():
            if states.get(running.claim) != "running":
                self._executor.cancel(attempt)

    def _start(self) -> None:
        places: Mapping[Lane, int] = {
            "check": CHECK_PLACES,
            "cpu": self._settings.cpu_slots,
            "gpu": self._settings.gpu_slots,
        }
        for lane, most in places.items():
            while sum(running.lane == lane for running in self._running.values()) < most and self._start_one(lane):
                pass

    def _start_one(self, lane: Lane) -> bool:
        with self._database.read() as connection:
            if not attempts.waiting(connection, lane):
                return False
        with self._database.write() as connection:
            found = attempts.claim(connection, lane, self._worker, self._clock() + self._settings.lease_seconds)
            if found is None:
                return False
            claim, job = found
            materials = attempts.materials(connection, job)
            trials = attempts.trials_of(connection, job.id)
        try:
            work = assign(claim, job, materials, trials, self._blobs, self._settings)
            self._executor.submit(work)
        except (OSError, ValueError) as error:
            log.warning("%s cannot be started: %s", claim, error)
            with suppress(StaleError), self._database.write() as connection:
                attempts.mark_lost(connection, claim, self._settings.attempts)
            return True
        self._running[work.attempt] = _Running(claim, lane, job.kind == "check", work.timeout_seconds)
        return True
