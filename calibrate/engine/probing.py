"""Probes of a network on all the examples of some data, without a recipe."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from torch import nn

from calibrate.data import DataLike, Split
from calibrate.engine.execution import carry_out, plan
from calibrate.engine.inputs.reference import make_reference
from calibrate.errors import UsageError
from calibrate.recipe import Preprocessing, as_preprocessing, as_recipe
from calibrate.result import Listener, ShiftReference, silent
from calibrate.steps import (
    Adaptation,
    Corruptions,
    InputFit,
    NotApplicable,
    Probe,
    ProbeResult,
    StatisticNoise,
)

R = TypeVar("R", bound=ProbeResult)


def input_fit(model: nn.Module, data: DataLike, **settings: Any) -> InputFit:
    """Check whether inputs are prepared as in training: see :class:`~calibrate.ProbeInputFit`, the card of it.

    ``settings`` are arguments of :func:`probe`: ``preprocessing``, without which arrays are taken as they are, and
    ``training``. Raises UsageError where there is nothing to compare with.

    >>> network = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 2)).eval()
    >>> _ = network[0].running_mean.fill_(0.5)
    >>> input_fit(network, [(np.float32([i % 9]), i % 2) for i in range(99)]).given.misfit > 3
    True
    """
    return _applicable(probe(model, "input_fit", data, **settings), InputFit)


def statistic_noise(model: nn.Module, loader: DataLike, **settings: Any) -> StatisticNoise:
    """Disturb running statistics at random, and measure on all of ``loader`` what it costs.

    ``settings`` are those of :class:`~calibrate.ProbeStatisticNoise`, which is the card of it. Raises UsageError where
    the probe has nothing to look at.
    """
    found = probe(model, {"kind": "statistic_noise", **settings}, loader)
    return _applicable(found, StatisticNoise)


def corruptions(model: nn.Module, loader: DataLike, **settings: Any) -> Corruptions:
    """Measure on C-style corruptions of all images of ``loader``.

    ``settings`` are those of :class:`~calibrate.ProbeCorruptions`, which is the card of it. The temperature, one
    number, is fitted on the same images as they are. Raises UsageError where the images cannot be corrupted.
    """
    return _applicable(probe(model, {"kind": "corruptions", **settings}, loader), Corruptions)


def adaptation(model: nn.Module, loader: DataLike, **settings: Any) -> Adaptation:
    """Compare test-time adaptation methods on streams of all examples of ``loader``.

    ``settings`` are those of :class:`~calibrate.ProbeAdaptation`, which is the card of it. EATA's in-distribution
    images are the same examples. Raises UsageError where the streams cannot be made.
    """
    return _applicable(probe(model, {"kind": "adaptation", **settings}, loader), Adaptation)


def probe(
    model: nn.Module,
    step: Probe | Mapping[str, Any] | str,
    data: DataLike,
    *,
    training: DataLike | None = None,
    reference: ShiftReference | None = None,
    preprocessing: Preprocessing | Mapping[str, Any] | str | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    progress: Listener = silent,
) -> ProbeResult:
    """Carry out one probe on all examples of ``data``: nothing is chosen, so none need be held back.

    ``step`` is the probe, its name, or a mapping as in a recipe file.

    ``reference`` is what :func:`shift_reference` made, for the probe ``field_shift``. The other arguments are those of
    :func:`~calibrate.retrofit`; ``model`` is never changed.

    >>> network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)).eval()
    >>> examples = [(np.float32([i, -i]), i % 2) for i in range(8)]
    >>> found = probe(network, {"kind": "statistic_noise", "deltas": [0.1]}, examples)
    >>> found.images, found.tuned
    (8, False)
    """
    recipe = as_recipe([step])
    if not all(one.is_probe for one in recipe.steps):
        raise UsageError(f"the step {recipe.steps[0].kind} is no probe; give it to `calibrate.retrofit` in a recipe.")
    checked = plan(
        model,
        recipe.model_copy(update={"seed": seed}),
        data=data,
        training=training,
        preprocessing=as_preprocessing(preprocessing),
        classes=None,
        batch_size=batch_size,
        device=device,
        progress=progress,
        halves=_undivided,
        reference=reference,
    )
    return carry_out(model, checked, "", {}).summary.of(ProbeResult)[0]


def shift_reference(
    model: nn.Module,
    data: DataLike,
    *,
    preprocessing: Preprocessing | Mapping[str, Any] | str | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
) -> ShiftReference:
    """The reference of later shifts: ``data`` that ``model`` is known to suit, or a draw of 1,024 of them at most.

    The arguments are those of :func:`~calibrate.retrofit`. It is kept as JSON (``model_dump_json``).

    >>> network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)).eval()
    >>> values = np.sin(np.arange(400.0)).reshape(200, 2).astype(np.float32)
    >>> reference = shift_reference(network, [(x, 0) for x in values[:100]])
    >>> later = [[(x + move, 0) for x in values[100:]] for move in (np.float32(0), np.float32(1))]
    >>> [probe(network, "field_shift", data, reference=reference).shifted for data in later]
    [False, True]
    """
    checked = plan(
        model,
        as_recipe(["input_fit"]).model_copy(update={"seed": seed}),
        data=data,
        preprocessing=as_preprocessing(preprocessing),
        classes=None,
        batch_size=batch_size,
        device=device,
        progress=silent,
        halves=_undivided,
    )
    given = checked.given
    return make_reference(given.original, given.source, given.split.holdout, given.setting, seed)


def _undivided(examples: int) -> Split:
    every = np.arange(examples)
    return Split(calibration=every, holdout=every, stratified=False, findings=())


def _applicable(found: ProbeResult, kind: type[R]) -> R:
    if not isinstance(found, kind):
        why = found.reason if isinstance(found, NotApplicable) else found.kind
        raise UsageError(f"there is nothing to probe: {why}; take other data, another network, or another probe.")
    return found
