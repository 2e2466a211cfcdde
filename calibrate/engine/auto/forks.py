"""Forks of a run: several lists of steps from one beginning, what they begin with alike done once."""

from collections.abc import Sequence

from calibrate.engine.run import Run
from calibrate.steps import Temperature, TuningStep


class Forks:
    """Runs that set out from ``base``, whose network is the original; ``base`` and each other they leave alone.

    ``made`` counts the examples that went through a network for all of them; a fork's own ``forwards`` are those that
    its steps would have needed alone.
    """

    def __init__(self, base: Run) -> None:
        start = base.fork()
        start.notes.forwards = 0
        self._after: dict[tuple[TuningStep, ...], Run] = {(): start}
        self.made = 0

    def carry_out(self, steps: Sequence[TuningStep]) -> Run:
        """The run after ``steps`` and a temperature; what an earlier list began with as well is not done again."""
        return self._carried_out(self._reached(steps), Temperature())

    def _reached(self, steps: Sequence[TuningStep]) -> Run:
        for count in range(1, len(steps) + 1):
            if (key := tuple(steps[:count])) not in self._after:
                self._after[key] = self._carried_out(self._after[key[:-1]], key[-1])
        return self._after[tuple(steps)]

    def known(self, steps: Sequence[TuningStep]) -> float:
        """The passes that the beginning of ``steps`` which is carried out already was expected to need."""
        done = 0
        while done < len(steps) and tuple(steps[: done + 1]) in self._after:
            done += 1
        handlers = self._after[()].given.handlers
        return sum(handlers[type(step)].expected_passes(step) for step in steps[:done])

    def without_idle_steps(self, steps: Sequence[TuningStep]) -> Sequence[TuningStep]:
        """``steps`` without the leading ones that change nothing; to know that, these are carried out."""
        place = 0
        while place < len(steps) - 1 and not self._reached(steps[: place + 1]).state.changed:
            place += 1
        return steps[place:]

    def _carried_out(self, before: Run, step: TuningStep) -> Run:
        """A fork of ``before`` on which ``step`` was carried out; what it cost is counted, also where it fails."""
        run = before.fork()
        try:
            run.given.handlers[type(step)].run(run, step)
        finally:
            self.made += run.notes.forwards - before.notes.forwards
        return run
