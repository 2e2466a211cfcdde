"""The budget of an automatic search, and what candidates are expected to take of it."""

import time
from collections.abc import Sequence
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


def expected_of_all(candidates: Sequence[Candidate], step: Auto, handlers: Handlers) -> float:
    """Passes that all ``candidates`` need together: what several begin with is made once."""
    beginnings = {item.steps[:count] for item in candidates for count in range(1, len(item.steps) + 1)}
    alone = sum(expected(candidate, step, handlers) for candidate in candidates)
    steps = sum(handlers[type(inner)].expected_passes(inner) for item in candidates for inner in item.steps)
    return alone - steps + sum(handlers[type(steps[-1])].expected_passes(steps[-1]) for steps in beginnings)


def first_share(together: float, first: float, left: float, examples: int) -> float:
    """The share of the calibration half that the first rung sees.

    All of it where ``left`` pays for all candidates ``together``, or where the ``first`` of them, the simplest, costs
    more than half of it, which is all that rounds may take: then the candidates are tried in order, as far as it goes.
    """
    share = 1.0
    if together > left and first <= left / 2:
        while share > FIRST_SHARE and share * examples / 2 >= FEWEST:
            share /= 2
    return share
