"""Estimation shift: how far running statistics are from the statistics of what the layers really see."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from calibrate.diagnose.normalized import not_finite
from calibrate.diagnose.sick_statistics import REPAIR
from calibrate.errors import ModelError
from calibrate.stats import Batches, Moments, as_batches
from calibrate.steps import LayerShift
from calibrate.surgery import Site, SiteChoice, chosen_sites, eps_of, evaluating, keeping_statistics, watching


def estimation_shift(
    model: nn.Module, batches: Iterable[Tensor | Sequence[Tensor]] | Batches, sites: SiteChoice = None
) -> tuple[LayerShift, ...]:
    """The shift of each of ``sites``, or of all that keep statistics, in the order of the calls.

    On the examples of ``batches``, such as a data loader, with ``model`` in evaluation mode.

    ESM_μ = ‖rm − m‖₂ and ESM_σ = ‖√rv − √v‖₂ over the channels, where m and v are the mean and biased variance (÷n) of
    all inputs (N, C, *) of the layer, pooled in float64. A layer that is called several times pools its calls; one that
    is never called is left out, and one that is not finite has no shift. What chance makes of it is half the distance
    between the statistics of the even and of the odd examples.
    Cost: one pass, with the moments about two plain passes in time.
    Reference: Huang et al., Delving into the Estimation Shift of Batch Normalization in a Network, 2022, Definition 2.

    >>> from calibrate.stats import IterableBatches; from calibrate.surgery import find_sites
    >>> network = nn.Sequential(nn.BatchNorm1d(1, eps=0.0))
    >>> examples = IterableBatches([torch.tensor([[1.0], [1.0], [5.0], [5.0]])], None)
    >>> (shift,) = estimation_shift(network, examples, find_sites(network))
    >>> shift.mean, shift.deviation, shift.mean_in_deviations, shift.mean_by_chance
    (3.0, 1.0, 1.5, 0.0)
    """
    sites = chosen_sites(model, sites, keeping_statistics)
    layers = {site.module: site for site in sites}
    begin = 0
    even: dict[nn.Module, Moments] = {}
    odd: dict[nn.Module, Moments] = {}

    def watch(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        x = arguments[0].detach()
        for half, offset in ((even, begin % 2), (odd, 1 - begin % 2)):
            if len(part := x[offset::2]):
                new = Moments.of(part)
                half[layer] = half[layer].merge(new) if layer in half else new

    with watching(layers, before=watch), evaluating(model), torch.inference_mode():
        for begin, x in as_batches(batches).after(0):  # noqa: B007  (`watch` reads it)
            model(x)
    return tuple(_shift(layers[layer], even[layer], odd.get(layer)) for layer in even)


def squared_distance(shift: LayerShift) -> float:
    """The shift of means and of deviations together, squared, in standard deviations.

    Raises ModelError for a layer that is not finite, and so has none.
    """
    if shift.mean_in_deviations is None or shift.deviation_in_deviations is None:
        what = "running statistics" if shift.not_finite == "statistics" else "inputs"
        raise ModelError(
            f"the {what} of the layer {shift.name} are not finite (NaN or Inf), so it has no estimation shift. {REPAIR}"
        )
    return shift.mean_in_deviations**2 + shift.deviation_in_deviations**2


def rank_correlation(values: Sequence[float]) -> float | None:
    """Spearman's correlation of ``values`` with their places; None with fewer than three, or all the same.

    >>> rank_correlation([0.1, 0.2, 0.2, 7.0]), rank_correlation([1.0, 1.0, 1.0])
    (0.94868329..., None)
    """
    x = torch.tensor(values, dtype=torch.float64)
    if len(x) < 3 or bool((x == x[0]).all()):
        return None
    below, same = (x[:, None] > x).sum(1), (x[:, None] == x).sum(1)
    ranks = below + (same - 1) / 2
    return float(torch.corrcoef(torch.stack([ranks.double(), torch.arange(len(x), dtype=torch.float64)]))[0, 1])


def _shift(site: Site, even: Moments, odd: Moments | None) -> LayerShift:
    layer: Any = site.module
    running_mean, running_variance = layer.running_mean.double(), layer.running_var.double()
    seen = even if odd is None else even.merge(odd)
    if what := not_finite(layer, seen):
        empty = dict.fromkeys(
            (
                "mean",
                "deviation",
                "mean_in_deviations",
                "deviation_in_deviations",
                "mean_by_chance",
                "deviation_by_chance",
            )
        )
        return LayerShift(name=site.name, channels=site.channels, not_finite=what, **empty)
    means, deviations = running_mean - seen.mean, running_variance.sqrt() - seen.variance.sqrt()
    unit = (seen.variance + eps_of(layer)).sqrt()
    chance = None if odd is None else ((even.mean - odd.mean) / 2, (even.variance.sqrt() - odd.variance.sqrt()) / 2)
    return LayerShift(
        name=site.name,
        channels=site.channels,
        mean=float(means.norm()),
        deviation=float(deviations.norm()),
        mean_in_deviations=_root_mean_square(means / unit),
        deviation_in_deviations=_root_mean_square(deviations / unit),
        mean_by_chance=None if chance is None else _root_mean_square(chance[0] / unit),
        deviation_by_chance=None if chance is None else _root_mean_square(chance[1] / unit),
    )


def _root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
