"""The stream: how its images come, measured on its first part before any adaptation, without labels."""

from collections.abc import Sequence
from math import prod
from statistics import median, median_low
from typing import Any

import torch
from torch import Tensor, nn

from calibrate.diagnose.advice import advise
from calibrate.diagnose.estimation_shifts import estimation_shift, squared_distance
from calibrate.generators import torch_generator
from calibrate.metrics import require_finite
from calibrate.nn.moments import instance_moments
from calibrate.stats import IterableBatches
from calibrate.steps import LayerShift, StreamDiagnosis, StreamMeasures
from calibrate.surgery import eps_of, find_sites, keeping_statistics, watching

#: Two images of the stream are near each other up to this distance: within every batch that is not tiny, and short
#: enough for runs of a few images of one class.
REACH = 8
#: Shuffles by which the correlation of chance is measured.
SHUFFLES = 100
#: With fewer images two groups explain much of any variance.
MIXTURE_IMAGES = 100


def diagnose_stream(model: nn.Module, batches: Sequence[Tensor], seed: int = 0) -> StreamDiagnosis:
    """Look at the first ``batches`` of a stream, in their order, and recommend a method; ``model`` stays as it is.

    ``seed`` is that of the shuffles. A few hundred images at least should be looked at, and of a stream that is sorted
    by class more than one class: else its order cannot be seen. Groups of images that differ in the first layer are
    taken for domains, and may be classes that look unlike.
    Cost: one pass, with the moments about two plain passes in time.

    >>> network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    >>> diagnosis = diagnose_stream(network, torch.randn(128, 2, generator=torch_generator(0)).split(1))
    >>> diagnosis.measures.images, diagnosis.measures.batch_size, diagnosis.recommended
    (128, 1, None)
    """
    shifts, logits, styles = _look(model, batches)
    require_finite(logits)
    predictions = logits.argmax(1)
    correlation, by_chance = label_correlation(logits, seed)
    return advise(
        StreamMeasures(
            images=len(predictions),
            batch_size=median_low(len(batch) for batch in batches),
            correlation=correlation,
            correlation_by_chance=by_chance,
            one_class=float(predictions.bincount().max()) / len(predictions),
            mixture=None if styles is None or len(predictions) < MIXTURE_IMAGES else between_two_groups(styles),
            shift=median(squared_distance(shift) ** 0.5 for shift in shifts) if shifts else None,
        )
    )


def label_correlation(logits: Tensor, seed: int = 0) -> tuple[float, float]:
    """How alike the predictions for images near each other are: the correlation of their logits (n, K); and by chance.

    Each image's logits count from their mean, and each class's are standardised over the stream. The products of those
    of two images are averaged over the classes and all pairs up to ``REACH`` apart. Unlike the most likely class, which
    a strong shift makes one and the same, logits still tell such images apart. Chance is the 99th percentile over
    shuffles. A class whose logit is always the same counts 0.

    >>> sorted_by_class = torch.eye(10).repeat_interleave(20, 0)
    >>> [round(value, 2) for value in label_correlation(sorted_by_class)]
    [0.77, 0.01]
    """
    wide = logits.double().cpu()
    wide = wide - wide.mean(1, keepdim=True)
    variance, mean = torch.var_mean(wide, 0, correction=0)
    standard = torch.where(variance > 0, (wide - mean) * variance.rsqrt(), 0.0)
    generator = torch_generator(seed)
    shuffled = [_alike_nearby(standard[torch.randperm(len(standard), generator=generator)]) for _ in range(SHUFFLES)]
    return _alike_nearby(standard), float(torch.tensor(shuffled, dtype=torch.float64).quantile(0.99))


def between_two_groups(values: Tensor) -> float:
    """The largest share of a column's variance that falls between two groups, split where it is largest.

    Shape: ``values`` (n, F). Values beyond a column's 1st and 99th percentile are drawn in to them, so that a few
    outliers make no group. Columns without variance count 0.
    Reference: Otsu, A Threshold Selection Method from Gray-Level Histograms, 1979 (η).

    >>> two_points = torch.arange(100.0)[:, None] // 50
    >>> between_two_groups(two_points), round(between_two_groups(torch.arange(1000.0)[:, None]), 2)
    (1.0, 0.75)
    """
    n = len(values)
    values = values.double().sort(0).values
    values = values.clamp(values[n // 100], values[-1 - n // 100])
    values = values - values.mean(0)
    below = torch.arange(1, n, dtype=torch.float64, device=values.device)[:, None]
    between = values.cumsum(0)[:-1].square() / (below * (n - below))
    total = values.square().mean(0)
    return float(torch.where(total > 0, between.amax(0) / total, 0.0).max())


def _alike_nearby(values: Tensor) -> float:
    """The mean product of two rows of ``values`` (n, K) up to ``REACH`` apart; 0 for a single row."""
    distances = range(1, min(REACH, len(values) - 1) + 1)
    products = [(values[distance:] * values[:-distance]).mean(1) for distance in distances]
    return float(torch.cat(products).mean()) if products else 0.0


def _look(model: nn.Module, batches: Sequence[Tensor]) -> tuple[tuple[LayerShift, ...], Tensor, Tensor | None]:
    """The shift of each layer; of each image the logits (n, K), and its statistics (n, F) in the layer called first."""
    logits: list[Tensor] = []
    styles: list[Tensor] = []

    def first_only(layer: Any, arguments: tuple[Tensor, ...]) -> None:
        if len(styles) == len(logits):
            styles.append(_style(layer, arguments[0]))

    sites = keeping_statistics(find_sites(model))
    watched = [site.module for site in sites]
    with watching([model], after=lambda _, __, y: logits.append(y)), watching(watched, before=first_only):
        shifts = estimation_shift(model, IterableBatches(batches, None), sites)
    return shifts, torch.cat(logits), torch.cat(styles) if styles else None


def _style(layer: Any, x: Tensor) -> Tensor:
    """Each image's mean and log variance in each channel (n, 2C); (n, C) means alone where there are no positions."""
    mean, var = instance_moments(x.to(torch.promote_types(x.dtype, torch.float32)))
    return mean if prod(x.shape[2:]) == 1 else torch.cat([mean, (var + eps_of(layer)).log()], 1)
