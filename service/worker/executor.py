"""The interface of executors, which run attempts; ``tests/service/executor_contract.py`` tests its contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from service.worker.messages import Message


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job: the job, and the attempt's number."""

    job: str
    number: int


@dataclass(frozen=True, slots=True)
class Work:
    """The task of an attempt: a document for the child, and the files that it may read, by name."""

    attempt: Attempt
    document: Mapping[str, object]
    files: Mapping[str, Path]
    slot: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class AttemptExit:
    """How an attempt ended.

    ``exit_code`` is negative for the signal that killed it, as in ``subprocess``; ``timed_out`` and ``cancelled`` mean
    that the executor stopped it. ``stderr_tail`` is the end of its standard error.
    """

    attempt: Attempt
    exit_code: int
    cancelled: bool
    timed_out: bool
    stderr_tail: str


@dataclass(frozen=True, slots=True)
class Updates:
    """What happened since the last poll: messages in order, and attempts that ended, after all their messages."""

    messages: Sequence[tuple[Attempt, Message]] = field(default=())
    ended: Sequence[AttemptExit] = field(default=())


class Executor(Protocol):
    """Runs attempts in isolation from each other.

    Contract: the end of a submitted attempt is reported exactly once, after all its messages. Cancelling ends it within
    the grace period, even inside native code, with all processes that it started; cancelling twice, or after the end,
    does nothing. A crash of one attempt does not affect others. If the executor dies, all its attempts end.
    """

    def submit(self, work: Work) -> None:
        """Start an attempt."""

    def cancel(self, attempt: Attempt) -> None:
        """Start to stop an attempt; returns at once."""

    def poll(self) -> Updates:
        """What happened since the last poll; does not block."""

    def file(self, attempt: Attempt, name: str) -> Path:
        """The regular file ``name`` that the attempt wrote; raises FileNotFoundError where there is none."""

    def clean_up(self, attempt: Attempt) -> None:
        """Delete the files of an attempt that has ended."""

    def close(self) -> None:
        """Stop all attempts, and wait until they have ended."""
