"""Any order of claims, expiries, cancels and late writes: no job is lost, none ends twice, no stale write counts."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from service.jobs import attempts
from service.jobs.attempts import Claim, StaleClaimError
from service.kit.problem import Problem
from service.storage import Blob
from tests.service.server_data import ServerData

ATTEMPTS = 3
LEASE = 10.0
PROBLEM = Problem(title="No", status=422, code="data", detail="It cannot be read.")
OVER = ("succeeded", "failed", "cancelled")


@dataclass
class Expected:
    """The expected state of a job."""

    state: str = "queued"
    attempt: int = 0
    worker: str | None = None
    lease_expires_at: float = 0.0
    lost_attempts: int = 0
    trials: int = 0

    def claimed_by(self, claim: Claim) -> bool:
        return self.state in attempts.CLAIMED_STATES and (self.attempt, self.worker) == (claim.attempt, claim.worker)

    def release(self, state: str) -> None:
        self.state, self.worker = state, None

    def record_lost_attempt(self) -> None:
        self.lost_attempts += 1
        if self.state == "cancelling":
            self.release("cancelled")
        else:
            self.release("failed" if self.lost_attempts >= ATTEMPTS else "queued")


class LifeCycle(RuleBasedStateMachine):
    """Jobs in a database against jobs in a dictionary."""

    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.server_data = ServerData(Path(self.folder.name))
        self.expected: dict[str, Expected] = {}
        self.now = 1000.0
        self.written = 0

    def teardown(self) -> None:
        self.server_data.database.close()
        self.folder.cleanup()

    @rule()
    def enqueue(self) -> None:
        self.expected[self.server_data.job("calibrate")] = Expected()

    @rule(target=claims, worker=st.sampled_from(["one", "two"]))
    def claim(self, worker: str) -> Claim:
        queued = sorted(job for job, expected in self.expected.items() if expected.state == "queued")
        with self.server_data.database.write() as connection:
            found = attempts.claim(connection, "cpu", worker, self.now + LEASE)
        if not queued:
            assert found is None
            return Claim("job_of_nobody", 1, worker)
        assert found is not None
        expected = self.expected[queued[0]]
        expected.state, expected.attempt, expected.worker = "running", expected.attempt + 1, worker
        expected.lease_expires_at = self.now + LEASE
        assert found[0] == Claim(queued[0], expected.attempt, worker)
        return found[0]

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        with self.server_data.database.write() as connection:
            attempts.renew_leases(connection, [claim], self.now + LEASE)
        if (expected := self.expected.get(claim.job)) and expected.claimed_by(claim):
            expected.lease_expires_at = self.now + LEASE

    @rule(seconds=st.sampled_from([1.0, LEASE / 2, LEASE * 2]), dead=st.sampled_from([[], ["one"]]))
    def expire(self, seconds: float, dead: list[str]) -> None:
        self.now += seconds
        over = [
            expected
            for expected in self.expected.values()
            if expected.state in attempts.CLAIMED_STATES
            and (expected.lease_expires_at < self.now or expected.worker in dead)
        ]
        with self.server_data.database.write() as connection:
            assert attempts.expire_leases(connection, self.now, ATTEMPTS, dead) == len(over)
        for expected in over:
            expected.record_lost_attempt()

    @rule(claim=claims)
    def ask_to_cancel(self, claim: Claim) -> None:
        """As the API does it."""
        expected = self.expected.get(claim.job)
        if expected is None or expected.state not in ("running", "queued"):
            return
        expected.state = "cancelling" if expected.state == "running" else "cancelled"
        self.server_data.set(claim.job, state=expected.state)

    @rule(claim=claims)
    def trial(self, claim: Claim) -> None:
        self.written += 1
        key = f"{self.written:064x}"
        if self.wrote(claim, lambda c: attempts.record_trial(c, claim, key, "stage", 1, Blob(key, 1))):
            self.expected[claim.job].trials += 1

    @rule(claim=claims, kind=st.sampled_from(["succeed", "fail", "cancel", "record_lost_attempt", "requeue"]))
    def finish(self, claim: Claim, kind: str) -> None:
        self._finish(claim, kind)

    @rule(claim=consumes(claims))
    def succeed(self, claim: Claim) -> None:
        self._finish(claim, "succeed")

    def _finish(self, claim: Claim, kind: str) -> None:
        more: dict[str, tuple[Any, ...]] = {"succeed": (None,), "fail": (PROBLEM,), "record_lost_attempt": (ATTEMPTS,)}
        if not self.wrote(claim, lambda c: getattr(attempts, kind)(c, claim, *more.get(kind, ()))):
            return
        expected = self.expected[claim.job]
        if kind == "record_lost_attempt":
            expected.record_lost_attempt()
        elif kind == "requeue":
            expected.release("cancelled" if expected.state == "cancelling" else "queued")
        else:
            expected.release({"succeed": "succeeded", "fail": "failed", "cancel": "cancelled"}[kind])

    def wrote(self, claim: Claim, change: Callable[[Any], None]) -> bool:
        """Whether the change was written, which it must be exactly where the claim is not stale."""
        expected = self.expected.get(claim.job)
        holds = expected is not None and expected.claimed_by(claim)
        try:
            with self.server_data.database.write() as connection:
                change(connection)
        except StaleClaimError:
            assert not holds
            return False
        assert holds
        return True

    @invariant()
    def all_is_as_expected(self) -> None:
        for job, expected in self.expected.items():
            row = self.server_data.row(job)
            assert (row.state, row.attempt, row.lost_attempts) == (
                expected.state,
                expected.attempt,
                expected.lost_attempts,
            )
            assert row.worker == expected.worker
            assert len(self.server_data.trials(job)) == expected.trials
            states = self.server_data.states(job)
            assert states.count("running") == expected.attempt
            assert sum(state in OVER for state in states) <= 1
            if states and states[-1] in OVER:
                assert expected.state == states[-1]


LifeCycle.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLifeCycle = LifeCycle.TestCase
