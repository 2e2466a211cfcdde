"""A comparison: every arm fine-tuned from every seed, each result kept in a file, and a paired t-test at the end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

from pydantic import ValidationError
from torch import nn

from calibrate.engine.delivery.files import write_files
from calibrate.engine.finetuning.plan import FineTuningPlan
from calibrate.engine.finetuning.training import carry_out_fine_tuning
from calibrate.engine.finetuning.weight_differences import compare_weights
from calibrate.finetune import md5_seed
from calibrate.metrics import paired_t_test
from calibrate.recipe import Comparison, FineTuning
from calibrate.result import ArmResult, ComparedArms, ComparedMetric, FineTuned, PairedTest

#: The p below which an arm counts as better than the baseline.
LEVEL = 0.05
#: What arms are compared by, and the sign that makes more of it better.
COMPARED: Mapping[ComparedMetric, int] = {"top1": 1, "nll": -1}
RESULT = "finetuned.json"


@dataclass(frozen=True, slots=True, eq=False)
class ArmCell:
    """One arm from one seed, where its files lie, and its result where it is finished for this very request."""

    arm: str
    number: int
    plan: FineTuningPlan
    folder: Path
    result: FineTuned | None

    @property
    def name(self) -> str:
        """Arm and seed, as in the path of the folder."""
        return f"{self.arm}/{self.number}"

    @property
    def progress(self) -> Literal["finished", "begun", "to run"]:
        """How far it is."""
        if self.result is not None:
            return "finished"
        return "begun" if self.state.exists() else "to run"

    @property
    def state(self) -> Path:
        """Where an unfinished training is kept: a changed request finds none."""
        return self.folder / f"unfinished-{self.plan.request[:16]}.pt"


def plan_arms(comparison: Comparison, planned: Callable[[FineTuning], FineTuningPlan], out: Path) -> list[ArmCell]:
    """All cells, seed by seed, so that pairs are complete early; with what an earlier run left of them in ``out``."""
    cells = []
    for number in range(1, comparison.seeds + 1):
        for arm, recipe in comparison.arms.items():
            plan = planned(recipe.model_copy(update={"seed": md5_seed(number)}))
            folder = out / arm / str(number)
            cells.append(ArmCell(arm, number, plan, folder, _finished(folder, plan.request)))
    return cells


def run_cell(cell: ArmCell, model: nn.Module, architecture: str, architecture_args: Mapping[str, Any]) -> ArmCell:
    """Carry out a cell that is not finished, from where an interrupted run left it, and write its result."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    for stale in cell.folder.glob("unfinished-*.pt"):
        if stale != cell.state:
            stale.unlink()
    outcome = carry_out_fine_tuning(model, cell.plan, architecture, architecture_args, cell.state)
    write_files(cell.folder, {RESULT: outcome.result.model_dump_json(indent=2).encode()})
    return replace(cell, result=outcome.result)


def compare_arms(comparison: Comparison, cells: Sequence[ArmCell]) -> ComparedArms:
    """The arms side by side, once all cells are finished."""
    results = {(cell.arm, cell.number): cell.result for cell in cells}
    numbers = range(1, comparison.seeds + 1)
    of_arm = {arm: [_present(results[arm, number]) for number in numbers] for arm in comparison.arms}
    first = of_arm[comparison.baseline][0]
    return ComparedArms(
        baseline=comparison.baseline,
        level=LEVEL,
        seeds=tuple(md5_seed(number) for number in numbers),
        arms=tuple(
            _arm(name, recipe, of_arm[name], None if name == comparison.baseline else of_arm[comparison.baseline])
            for name, recipe in comparison.arms.items()
        ),
        model=first.model,
        data=first.data,
        environment=first.environment,
        seconds=sum(result.seconds for own in of_arm.values() for result in own),
    )


def _arm(
    name: str, recipe: FineTuning, results: Sequence[FineTuned], baseline: Sequence[FineTuned] | None
) -> ArmResult:
    scores = {metric: _scores(results, metric) for metric in COMPARED}
    tests = {} if baseline is None else {m: _test(scores[m], _scores(baseline, m), COMPARED[m]) for m in COMPARED}
    return ArmResult(
        name=name,
        recipe=recipe,
        scores=scores,
        means={metric: mean(values) for metric, values in scores.items()},
        deviations={metric: stdev(values) for metric, values in scores.items()},
        tests=tests,
        results=tuple(result.digest for result in results),
        layers=() if baseline is None else compare_weights(results[0], baseline[0]),
    )


def _scores(results: Sequence[FineTuned], metric: ComparedMetric) -> tuple[float, ...]:
    return tuple(result.measurement.arm("tuned").metrics[metric].value for result in results)


def _test(values: Sequence[float], baseline: Sequence[float], sign: int) -> PairedTest:
    test = paired_t_test([sign * value for value in values], [sign * value for value in baseline])
    return PairedTest(
        mean=sign * test.mean, t=test.t if isfinite(test.t) else None, p=test.p, significant=test.p < LEVEL
    )


def _finished(folder: Path, request: str) -> FineTuned | None:
    try:
        result = FineTuned.model_validate_json((folder / RESULT).read_bytes())
    except (OSError, ValidationError):
        return None
    return result if result.request == request else None


def _present(result: FineTuned | None) -> FineTuned:
    assert result is not None, "arms are compared once all cells are finished"
    return result
