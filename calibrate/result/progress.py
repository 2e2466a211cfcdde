"""Progress: what a run says while it works."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` units of the named stage are finished; a stage ends when the two are equal."""

    stage: str
    done: int
    total: int


Listener = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Listen to nothing."""
