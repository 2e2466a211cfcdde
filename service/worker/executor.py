"""The executor: where attempts at jobs run. One contract; ``tests/service/executor_contract.py`` states its laws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from service.worker.messages import Message


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job: which, and the number that fences whatever it writes."""

    job: str
    number: int


@dataclass(frozen=True, slots=True)
class Work:
    """What an attempt is to do: a document for the child, and files that it may read, by the names it knows them by."""

    attempt: Attempt
    document: Mapping[str, object]
    files: Mapping[str, Path]
    slot: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended.

    ``exit_code`` is negative for the signal that killed it, as in ``subprocess``; ``timed_out`` and ``cancelled`` say
    that the executor did. ``last_words`` are the end of what it wrote to standard error.
    """

    attempt: Attempt
    exit_code: int
    cancelled: bool
    timed_out: bool
    last_words: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard since the last poll: messages in order, and attempts that ended, after all their messages."""

    messages: Sequence[tuple[Attempt, Message]] = field(default=())
    ended: Sequence[Ended] = field(default=())


class Executor(Protocol):
    """Runs attempts, each on its own.

    Laws: an attempt that was submitted is heard to end exactly once, after all its messages; cancelling ends it within
    the grace period even inside native code, with all processes it started; cancelling twice, or after the end, does
    nothing; the death of one attempt touches no other; the death of the executor ends all its attempts.
    """

    def submit(self, work: Work) -> None:
        """Start an attempt."""

    def cancel(self, attempt: Attempt) -> None:
        """Begin to end an attempt; returns at once."""

    def poll(self) -> Heard:
        """What happened since the last poll; never waits."""

    def file(self, attempt: Attempt, name: str) -> Path:
        """The regular file ``name`` that the attempt wrote; raises FileNotFoundError where there is none."""

    def forget(self, attempt: Attempt) -> None:
        """Remove what an ended attempt left behind."""

    def close(self) -> None:
        """End all attempts, and wait until they have ended."""
