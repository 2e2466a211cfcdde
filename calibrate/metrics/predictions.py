"""Changed predictions: what a network predicts before and after, example by example and class by class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.metrics.p_values import mcnemar
from calibrate.metrics.paired_proportions import paired_interval
from calibrate.metrics.scores import CHUNK, Column
from calibrate.steps import ChangedExample, ClassChange, Direction, Prediction, PredictionChanges, TunedArm

Classes = NDArray[np.int64]

#: How many of the changed examples are listed.
LISTED: Final = 24


@dataclass(frozen=True, slots=True)
class Predicted:
    """What one network predicts: classes (n,), and the confidence (n,) of each prediction."""

    classes: Classes
    confidence: Column


def predicted_classes(logits: Tensor) -> Classes:
    """The class (n,) of the highest of the logits (n, K), the lowest such class where several are equal."""
    rows = max(1, CHUNK // logits.shape[1])
    parts = [part.detach().to("cpu", torch.float64).numpy().argmax(1) for part in logits.split(rows)]
    return np.concatenate(parts).astype(np.int64)


def prediction_changes(
    before: Predicted,
    after: Predicted,
    labels: Classes,
    indices: Classes,
    names: Sequence[str] | None,
    entry: Callable[[int], str],
    arm: TunedArm = "alpha+T",
) -> PredictionChanges:
    """Compare the predictions for n examples, whose classes are ``labels`` (n,), and whose places ``indices``.

    ``names`` are those of the classes, ``entry`` that of the example at an index, ``arm`` that of ``after``. The list
    of examples shares its ``LISTED`` places between fixed and broken, the most confident predictions after the change
    first; what one kind leaves goes to the other, and then to predictions that were wrong both times.
    """
    right = before.classes == labels
    now = after.classes == labels
    kinds: dict[Direction, NDArray[np.bool_]] = {
        "fixed": ~right & now,
        "broken": right & ~now,
        "other": ~right & ~now & (before.classes != after.classes),
    }
    counts = {kind: int(chosen.sum()) for kind, chosen in kinds.items()}

    def named(label: int) -> str | None:
        return None if names is None else names[label]

    def example(row: int, kind: Direction) -> ChangedExample:
        index, label = int(indices[row]), int(labels[row])
        sides = [
            Prediction(label=(k := int(side.classes[row])), name=named(k), confidence=float(side.confidence[row]))
            for side in (before, after)
        ]
        return ChangedExample(
            index=index,
            entry=entry(index),
            label=label,
            name=named(label),
            direction=kind,
            before=sides[0],
            after=sides[1],
        )

    places = _places(counts)
    return PredictionChanges(
        arm=arm,
        n=len(labels),
        fixed=counts["fixed"],
        broken=counts["broken"],
        other=counts["other"],
        p=mcnemar(counts["fixed"], counts["broken"]),
        classes=tuple(
            _class_change(int(label), named(int(label)), labels == label, right, now) for label in np.unique(labels)
        ),
        examples=tuple(
            example(row, kind)
            for kind, chosen in kinds.items()
            for row in _most_confident(chosen, after.confidence, places[kind])
        ),
    )


def _class_change(
    label: int, name: str | None, own: NDArray[np.bool_], right: NDArray[np.bool_], now: NDArray[np.bool_]
) -> ClassChange:
    n, fixed, broken = int(own.sum()), int((own & ~right & now).sum()), int((own & right & ~now).sum())
    low, high = paired_interval(fixed, broken, n)
    return ClassChange(
        label=label,
        name=name,
        n=n,
        before=int((own & right).sum()),
        after=int((own & now).sum()),
        fixed=fixed,
        broken=broken,
        low=low,
        high=high,
    )


def _places(counts: dict[Direction, int]) -> dict[Direction, int]:
    """How many of each kind are listed."""
    fixed = min(counts["fixed"], max(LISTED // 2, LISTED - counts["broken"]))
    broken = min(counts["broken"], LISTED - fixed)
    return {"fixed": fixed, "broken": broken, "other": min(counts["other"], LISTED - fixed - broken)}


def _most_confident(chosen: NDArray[np.bool_], confidence: Column, places: int) -> list[int]:
    """The first ``places`` of the chosen rows, by falling confidence and, where that is equal, in order."""
    rows = np.flatnonzero(chosen)
    order: list[int] = rows[np.argsort(-confidence[rows], kind="stable")][:places].tolist()
    return order
