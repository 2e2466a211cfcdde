"""The standings of a leaderboard: runs on the holdout half."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.engine.contest import Contest
from calibrate.engine.graph import FOLDED, graph_of
from calibrate.engine.run import Run
from calibrate.metrics import answered_classes, paired_interval, rank, score
from calibrate.metrics.paired_proportions import Z
from calibrate.recipe import Auto
from calibrate.result import Estimate, HeldOut, Standing, verdict_of
from calibrate.search import Candidacy, paired_gap


def held_out(
    base: Run, step: Auto, runs: Mapping[str, Run], logits: Mapping[str, Tensor], clean: Mapping[str, Estimate]
) -> dict[str, HeldOut]:
    """Every one of ``runs`` on the holdout half, by name; ``plain`` and ``T`` come first, ``clean`` where shifted."""
    names, labels = [*runs], base.holdout_labels
    scores = [score(logits[name], labels, runs[name].temperature) for name in names]
    ranked = rank(scores, resamples=step.resamples, bins=step.bins, seed=base.seed)
    measured = {}
    for name, item in zip(names, ranked, strict=True):
        judged = item.against_second or item.against_first
        graph = graph_of(runs[name].model)
        measured[name] = HeldOut(
            temperature=runs[name].temperature,
            graph=graph,
            folds=graph == FOLDED,
            metrics=item.metrics,
            against_plain=item.against_first,
            against_t=item.against_second,
            holm=item.holm,
            detectable=item.detectable,
            verdict=verdict_of(judged) if judged else None,
            clean=clean.get(name),
        )
    return measured


def clean_changes_(run: Run, runs: Mapping[str, Run], indices: NDArray[np.int64]) -> dict[str, Estimate]:
    """Top-1 of each of ``runs`` minus that of ``plain``, on the examples as ``run`` has them, and its 95 % interval."""
    labels = run.labels_of(indices)
    changed = {name: its for name, its in runs.items() if its.changed}
    models = [run.plain, *(its.model for its in changed.values())]
    plain, *others = (
        answered_classes(run.side_by_side([model], run.source, indices, "guardrail")[0]) == labels.numpy()
        for model in models
    )
    n = len(labels)
    changes = {name: Estimate(value=0.0, low=0.0, high=0.0) for name in runs}
    for name, right in zip(changed, others, strict=True):
        fixed, broken = int((right & ~plain).sum()), int((plain & ~right).sum())
        low, high = paired_interval(fixed, broken, n)
        changes[name] = Estimate(value=(fixed - broken) / n, low=low, high=high)
    return changes


def standing(item: Candidacy, yardstick: Candidacy, run: Run, measured: HeldOut) -> Standing:
    """The place of one run on the leaderboard."""
    gap, error, n = paired_gap(item, yardstick)
    return Standing(
        name=item.name,
        state="measured",
        passes=run.forwards / len(run.split.calibration) if run.changed else 0.0,
        calibration=Estimate(value=gap, low=gap - Z * error, high=gap + Z * error),
        calibration_n=n,
        held_out=measured,
    )


def in_order(step: Auto, measured: Sequence[Standing], contest: Contest) -> tuple[Standing, ...]:
    """All standings, ``plain`` and ``T`` first, then the candidates as the step lists them."""
    by_name = {item.name: item for item in measured}
    by_name |= {name: Standing(name=name, state="dropped", note=note) for name, note in contest.dropped.items()}
    by_name |= {name: Standing(name=name, state="not tried", note=note) for name, note in contest.not_tried.items()}
    by_name |= {
        name: Standing(name=name, state="not applicable", note=note) for name, note in contest.not_applicable.items()
    }
    return tuple(by_name[name] for name in ("plain", "T", *(candidate.name for candidate in step.candidates)))
