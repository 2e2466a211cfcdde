"""Online scores: what each visit of a stream was worth, and what that makes for a method over several orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.adapt import Keeps
from calibrate.metrics import interval, mean_samples, score
from calibrate.steps import IEW, Method, MethodScores
from calibrate.values import Estimate

Column = NDArray[np.float64]

#: The equal parts of a stream whose top-1 make the curve; of shorter streams each visit is one.
SEGMENTS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One method on a stream in one order: of each visit the row, whether its prediction was right, and its NLL.

    ``forward``, ``backward`` and ``checks`` are passes for each batch.
    """

    rows: NDArray[np.int64]
    right: Column
    nll: Column
    forward: float = 1.0
    backward: float = 0.0
    checks: float = 0.0
    collapses: int = 0
    resets: int = 0
    learned: int = 0
    keeps: Keeps = "nothing"
    source_change: float | None = None


def visit_scores(logits: Tensor, labels: Tensor) -> tuple[Column, Column]:
    """1 or 0 for right or wrong, and the NLL in nats, of ``logits`` (n, K).

    Those that are not all finite are wrong, and their NLL is no number.

    >>> import torch
    >>> visit_scores(torch.tensor([[2.0, 0.0], [torch.nan, 0.0]]), torch.tensor([0, 1]))[0].tolist()
    [1.0, 0.0]
    """
    finite = logits.isfinite().all(1)
    scores = score(logits[finite], labels[finite])
    right, nll = np.zeros(len(logits)), np.full(len(logits), np.nan)
    right[finite.numpy()], nll[finite.numpy()] = scores.top1, scores.nll
    return right, nll


def method_scores(
    methods: Sequence[Method | None], courses: Sequence[Sequence[Course]], *, examples: int, resamples: int, seed: int
) -> tuple[MethodScores, ...]:
    """The scores of each of ``methods``, the first of which is the network without adaptation, over its ``courses``.

    Differences are of means over the visits of each of the ``examples``, which are redrawn.
    """
    columns = np.column_stack([_by_example(own, examples) for own in courses])
    samples = mean_samples(columns, resamples=resamples, seed=seed)
    iew = next((place for place, method in enumerate(methods) if isinstance(method, IEW)), None)

    def against(place: int, other: int | None) -> Estimate | None:
        if other is None or place in (0, other):
            return None
        low, high = interval(samples[:, place] - samples[:, other])
        return Estimate(value=float((columns[:, place] - columns[:, other]).mean()), low=low, high=high)

    return tuple(
        _scores(method, own, against(place, 0), against(place, iew))
        for place, (method, own) in enumerate(zip(methods, courses, strict=True))
    )


def _by_example(courses: Sequence[Course], examples: int) -> Column:
    """The mean over all visits of each example: (examples,)."""
    rows = np.concatenate([course.rows for course in courses])
    right = np.concatenate([course.right for course in courses])
    mean: Column = np.bincount(rows, right, examples) / np.bincount(rows, minlength=examples)
    return mean


def _scores(
    method: Method | None, courses: Sequence[Course], against_source: Estimate | None, against_iew: Estimate | None
) -> MethodScores:
    top1 = np.array([course.right.mean() for course in courses])
    nll = np.concatenate([course.nll for course in courses])
    segments = [
        [part.mean() for part in np.array_split(course.right, min(SEGMENTS, len(course.right)))] for course in courses
    ]
    changes = [course.source_change for course in courses if course.source_change is not None]
    return MethodScores(
        method=method,
        top1=float(top1.mean()),
        top1_sd=float(top1.std(ddof=1)) if len(courses) > 1 else None,
        nll=float(nll.mean()) if np.isfinite(nll).all() else None,
        segments=tuple(np.mean(segments, 0).tolist()),
        against_source=against_source,
        against_iew=against_iew,
        forward=fmean(course.forward for course in courses),
        backward=fmean(course.backward for course in courses),
        checks=fmean(course.checks for course in courses),
        source_change=fmean(changes) if changes else None,
        learned=courses[0].learned,
        collapses=fmean(course.collapses for course in courses),
        resets=fmean(course.resets for course in courses),
        keeps=courses[0].keeps,
    )
