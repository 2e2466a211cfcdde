"""The rows of a leaderboard: runs on the holdout half."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.engine.auto.search import CandidateSearch
from calibrate.engine.delivery.graph import FOLDED, graphs_of
from calibrate.engine.run import Run
from calibrate.metrics import paired_interval, predicted_classes, rank, score
from calibrate.metrics.paired_proportions import Z
from calibrate.search import Candidacy, paired_gap
from calibrate.steps import ORIGINAL, Auto, HoldoutScores, LeaderboardRow, verdict_of
from calibrate.values import Estimate


def holdout_scores(
    base: Run, step: Auto, runs: Mapping[str, Run], logits: Mapping[str, Tensor], clean: Mapping[str, Estimate]
) -> dict[str, HoldoutScores]:
    """Every one of ``runs`` on the holdout half, by name; ``original``, ``T`` come first, ``clean`` where shifted."""
    names, labels = [*runs], base.holdout_labels
    scores = [score(logits[name], labels, runs[name].state.temperature) for name in names]
    ranked = rank(scores, resamples=step.resamples, bins=step.bins, seed=base.given.seed)
    graphs = graphs_of({name: its.state.model for name, its in runs.items()})
    measured = {}
    for name, item in zip(names, ranked, strict=True):
        judged = item.against_second or item.against_first
        measured[name] = HoldoutScores(
            temperature=runs[name].state.temperature,
            graph=graphs[name],
            folds=graphs[name] == FOLDED,
            metrics=item.metrics,
            against_original=item.against_first,
            against_t=item.against_second,
            holm=item.holm,
            detectable=item.detectable,
            verdict=verdict_of(judged, len(labels)) if judged else None,
            clean=clean.get(name),
        )
    return measured


def clean_changes_(run: Run, runs: Mapping[str, Run], indices: NDArray[np.int64]) -> dict[str, Estimate]:
    """Top-1 of each of ``runs`` minus that of ``original``, on the examples as ``run`` has them, and its 95 % interval.

    Of the calibration half those count that a run did not learn from.
    """
    labels = run.labels_of(indices).numpy()

    def right(model: nn.Module) -> NDArray[np.bool_]:
        (logits,) = run.side_by_side([model], run.given.source, indices, "guardrail")
        predicted: NDArray[np.bool_] = predicted_classes(logits) == labels
        return predicted

    original = right(run.given.original)
    changes = {name: Estimate(value=0.0, low=0.0, high=0.0) for name in runs}
    for name, its in runs.items():
        if its.state.changed:
            learned = its.state.held_back is not None and indices is run.given.split.calibration
            rows = (
                its.state.held_back.numpy() if learned and its.state.held_back is not None else np.arange(len(indices))
            )
            before, after = original[rows], right(its.state.model)[rows]
            fixed, broken = int((after & ~before).sum()), int((before & ~after).sum())
            low, high = paired_interval(fixed, broken, len(rows))
            changes[name] = Estimate(value=(fixed - broken) / len(rows), low=low, high=high)
    return changes


def leaderboard_row(
    item: Candidacy, baseline: Candidacy, run: Run, measured: HoldoutScores, known: set[str]
) -> LeaderboardRow:
    """The place of one run on the leaderboard; findings of its own, not among the ``known``, are its note."""
    gap, error, n = paired_gap(item, baseline)
    return LeaderboardRow(
        name=item.name,
        state="measured",
        note=" ".join(finding.message for finding in run.notes.findings if finding.code not in known),
        passes=run.notes.forwards / len(run.given.split.calibration) if run.state.changed else 0.0,
        calibration=Estimate(value=gap, low=gap - Z * error, high=gap + Z * error),
        calibration_n=n,
        holdout=measured,
    )


def in_order(step: Auto, measured: Sequence[LeaderboardRow], search: CandidateSearch) -> tuple[LeaderboardRow, ...]:
    """All rows, ``original`` and ``T`` first, then the candidates as the step lists them."""
    by_name = {item.name: item for item in measured}
    by_name |= {name: LeaderboardRow(name=name, state="dropped", note=note) for name, note in search.dropped.items()}
    by_name |= {
        name: LeaderboardRow(name=name, state="not tried", note=note) for name, note in search.not_tried.items()
    }
    by_name |= {
        name: LeaderboardRow(name=name, state="not applicable", note=note)
        for name, note in search.not_applicable.items()
    }
    return tuple(by_name[name] for name in (ORIGINAL, "T", *(candidate.name for candidate in step.candidates)))
