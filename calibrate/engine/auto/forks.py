"""Forks of a run: several lists of steps from one beginning, what they begin with alike done once."""

from collections.abc import Sequence
from dataclasses import replace

from calibrate.engine.run import Run
from calibrate.steps import Temperature, TuningStep
from calibrate.surgery import share_weights


class Forks:
    """Runs that set out from ``base``, whose network stands as it came; ``base`` and each other they leave alone.

    ``made`` counts the examples that went through a network for all of them; a fork's own ``forwards`` are those that
    its steps would have needed alone.
    """

    def __init__(self, base: Run) -> None:
        self._after: dict[tuple[TuningStep, ...], Run] = {(): replace(base, forwards=0)}
        self.made = 0

    def carry_out(self, steps: Sequence[TuningStep]) -> Run:
        """The run after ``steps`` and a temperature; what an earlier list began with as well is not done again."""
        for count in range(1, len(steps) + 1):
            if (key := tuple(steps[:count])) in self._after:
                continue
            run = fork(self._after[key[:-1]])
            before = run.forwards
            try:
                run.handlers[type(key[-1])].run(run, key[-1])
            finally:
                self.made += run.forwards - before
            self._after[key] = run
        run = replace(self._after[tuple(steps)])
        run.findings = [*run.findings]
        before = run.forwards
        run.handlers[Temperature].run(run, Temperature())
        self.made += run.forwards - before
        return run


def fork(run: Run) -> Run:
    """A run that stands where ``run`` stands, and whose steps ``run`` does not see."""
    return replace(
        run,
        model=share_weights(run.model),
        reestimations=[*run.reestimations],
        kept=[*run.kept],
        learned=[*run.learned],
        label_free=[*run.label_free],
        probes=[*run.probes],
        findings=[*run.findings],
    )


def adopt_(run: Run, chosen: Run) -> None:
    """Let ``run`` stand where its fork ``chosen`` stands."""
    run.model, run.temperature, run.changed = chosen.model, chosen.temperature, chosen.changed
    run.model_calibration, run.held_back = chosen.model_calibration, chosen.held_back
    run.search, run.label_free, run.reestimations = chosen.search, chosen.label_free, chosen.reestimations
    run.kept, run.learned = chosen.kept, chosen.learned
    run.findings += [finding for finding in chosen.findings if finding not in run.findings]
