"""The budget of an automatic search, and what candidates are expected to take of it."""

import time
from math import inf

from calibrate.engine.handler import Handlers
from calibrate.steps import Auto, Candidate, Temperature

#: The fewest examples that a first rung looks at, and its share of all.
FEWEST = 64
FIRST_SHARE = 1 / 8


class Budget:
    """What may still be spent, in passes over the calibration half, from now on; without a limit infinitely many.

    Minutes become passes by how long those made so far took, of which the original network makes the first.

    Limits: passes that were recalled take no time, so a run that was interrupted may take longer than its minutes.
    """

    def __init__(self, step: Auto) -> None:
        self._passes = inf if step.max_passes is None else step.max_passes
        self._seconds = inf if step.max_minutes is None else 60 * step.max_minutes
        self._start = time.monotonic()

    def left(self, spent: float) -> float:
        """Passes that are left after ``spent`` of them."""
        elapsed = time.monotonic() - self._start
        by_clock = inf if self._seconds == inf else (self._seconds - elapsed) * spent / max(elapsed, 1e-9)
        return min(self._passes - spent, by_clock)


def deferred(step: Auto) -> int:
    """Passes that each measured network needs after the search: the holdout half's, and the guardrail's two."""
    return 3 if step.shifts else 1


def expected(candidate: Candidate, step: Auto, handlers: Handlers) -> float:
    """Passes that ``candidate`` is expected to need for its steps, its temperature and after the search."""
    steps = sum(handlers[type(inner)].expected_passes(inner) for inner in candidate.steps)
    last = handlers[type(candidate.steps[-1])]
    temperature = 0.0 if last.keeps_logits else handlers[Temperature].expected_passes(Temperature())
    return steps + temperature + deferred(step)


def first_share(costs: list[float], left: float, examples: int) -> float:
    """The share of the calibration half that the first rung sees: all of it where ``left`` pays for all ``costs``."""
    share = 1.0
    if sum(costs) > left:
        while share > FIRST_SHARE and share * examples / 2 >= FEWEST:
            share /= 2
    return share
