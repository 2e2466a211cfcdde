"""The supervisor: claims jobs, starts their attempts in an executor, and records messages and results."""

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
from service.jobs.attempts import Claim, QueueName, StaleClaimError
from service.settings import Settings
from service.storage import Blob, Blobs
from service.worker.executor import Attempt, AttemptExit, Executor
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

#: An attempt that reports more files than this breaks the protocol.
MAX_FILES = 1000
#: Slots for checks, besides those for jobs: a new file need not wait behind hours of calibration.
CHECK_SLOTS = 1

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Running:
    """A running attempt; ``last`` is the child's final message."""

    claim: Claim
    queue: QueueName
    is_check: bool
    timeout_seconds: float
    throttle: Throttle = field(default_factory=Throttle)
    files: int = 0
    last: Finished | Checked | Failed | None = None
    broken: bool = False
    requeue: bool = False


class Supervisor:
    """Runs jobs by calls of :meth:`step`, which may come at any time and do not wait for a job.

    Messages of attempts are recorded in order, each in its own transaction. While the database cannot be written to,
    they stay pending and no more are polled. An attempt whose claim is stale is stopped, and nothing of it is recorded.
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
        self._pending: deque[tuple[Attempt, Message | AttemptExit]] = deque()
        self._renew_at = float("-inf")
        self._draining = False

    @property
    def idle(self) -> bool:
        """Whether no attempt is running."""
        return not self._running

    def recover(self, lost: tuple[str, ...]) -> None:
        """Requeue the jobs of ``lost`` workers, without waiting for their leases to expire."""
        with self._database.write() as connection:
            attempts.expire_leases(connection, self._clock(), self._settings.attempts, lost)

    def step(self) -> bool:
        """Record updates, renew leases, stop cancelled jobs and claim new ones; False where the database failed."""
        try:
            self._record_updates()
            self._renew_leases()
            self._stop_cancelled()
            if not self._draining:
                self._claim_jobs()
        except (OperationalError, sqlite3.OperationalError) as error:
            log.warning("the database cannot be used, retrying: %s", error)
            return False
        return True

    def drain(self) -> None:
        """Claim no more jobs."""
        self._draining = True

    def stop(self) -> None:
        """Claim no more jobs, and stop the running ones; further steps requeue these."""
        self.drain()
        for attempt, running in self._running.items():
            running.requeue = True
            self._executor.cancel(attempt)

    def _record_updates(self) -> None:
        if not self._pending:
            updates = self._executor.poll()
            self._pending.extend(updates.messages)
            self._pending.extend((ended.attempt, ended) for ended in updates.ended)
        while self._pending:
            attempt, update = self._pending[0]
            if (running := self._running.get(attempt)) is not None:
                self._record_update(attempt, running, update)
            self._pending.popleft()
            self._renew_leases()
        for attempt, running in self._running.items():
            self._record_progress(attempt, running)

    def _record_update(self, attempt: Attempt, running: _Running, update: Message | AttemptExit) -> None:
        try:
            if isinstance(update, AttemptExit):
                self._record_progress(attempt, running, last=True)
                self._record_exit(running, update)
            else:
                self._record_message(attempt, running, update)
        except StaleClaimError:
            self._executor.cancel(attempt)
        if isinstance(update, AttemptExit):
            self._executor.clean_up(attempt)
            del self._running[attempt]

    def _record_message(self, attempt: Attempt, running: _Running, message: Message) -> None:
        if running.broken or running.last is not None:
            return
        match message:
            case ProgressMade():
                running.throttle.put(message)
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
        """Store a copy of a child's file; None where that fails, which ends the attempt."""
        try:
            if running.files >= MAX_FILES:
                raise FileNotFoundError(f"more than {MAX_FILES} files")
            return self._blobs.copy(self._executor.file(attempt, name))
        except FileNotFoundError as error:
            log.warning("%s broke the protocol: %s", attempt, error)
            running.broken = True
        except OSError as error:
            log.warning("a file of %s cannot be stored: %s", attempt, error)
            running.last = Failed(problem=no_space())
        self._executor.cancel(attempt)
        return None

    def _record_progress(self, attempt: Attempt, running: _Running, *, last: bool = False) -> None:
        progress = running.throttle.pop(time.monotonic(), last=last)
        if progress is None:
            return
        try:
            with self._database.write() as connection:
                attempts.record_progress(connection, running.claim, progress.stage, progress.done, progress.total)
        except StaleClaimError:
            self._executor.cancel(attempt)

    def _record_exit(self, running: _Running, ended: AttemptExit) -> None:
        """Record how the attempt ended. Its weights are stored first, so that no transaction waits for them."""
        claim = running.claim
        weights = None
        if isinstance(running.last, Checked) and running.last.weights is not None:
            weights = self._store(ended.attempt, running, running.last.weights)
        if ended.stderr_tail:
            log.info("%s, exit code %d, standard error:\n%s", ended.attempt, ended.exit_code, ended.stderr_tail)
        with self._database.write() as connection:
            match attempts.states_of(connection, [claim]).get(claim), running.last:
                case None, _:
                    raise StaleClaimError(claim)
                case "cancelling", _:
                    attempts.cancel(connection, claim)
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
                    attempts.record_lost_attempt(connection, claim, self._settings.attempts)

    def _renew_leases(self) -> None:
        """Send the heartbeat: renew our leases, and requeue jobs whose lease has expired."""
        now = self._clock()
        if now < self._renew_at:
            return
        with self._database.write() as connection:
            claims = [running.claim for running in self._running.values()]
            attempts.renew_leases(connection, claims, now + self._settings.lease_seconds)
            attempts.expire_leases(connection, now, self._settings.attempts)
        self._renew_at = now + self._settings.heartbeat_seconds

    def _stop_cancelled(self) -> None:
        """Stop attempts whose job is being cancelled or whose claim is stale."""
        with self._database.read() as connection:
            states = attempts.states_of(connection, [running.claim for running in self._running.values()])
        for attempt, running in self._running.items():
            if states.get(running.claim) != "running":
                self._executor.cancel(attempt)

    def _claim_jobs(self) -> None:
        slots: Mapping[QueueName, int] = {
            "check": CHECK_SLOTS,
            "cpu": self._settings.cpu_slots,
            "gpu": self._settings.gpu_slots,
        }
        for queue, limit in slots.items():
            while sum(running.queue == queue for running in self._running.values()) < limit and self._claim_one(queue):
                pass

    def _claim_one(self, queue: QueueName) -> bool:
        with self._database.read() as connection:
            if not attempts.has_queued(connection, queue):
                return False
        with self._database.write() as connection:
            found = attempts.claim(connection, queue, self._worker, self._clock() + self._settings.lease_seconds)
            if found is None:
                return False
            claim, job = found
            inputs = attempts.load_inputs(connection, job)
            trials = attempts.trials_of(connection, job.id)
        try:
            work = assign(claim, job, inputs, trials, self._blobs, self._settings)
            self._executor.submit(work)
        except (OSError, ValueError) as error:
            log.warning("%s cannot be started: %s", claim, error)
            with suppress(StaleClaimError), self._database.write() as connection:
                attempts.record_lost_attempt(connection, claim, self._settings.attempts)
            return True
        self._running[work.attempt] = _Running(claim, queue, job.kind == "check", work.timeout_seconds)
        return True
