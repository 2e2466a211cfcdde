"""Shift from a reference: how far the inputs of layers are from what they were on other data, beyond chance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from calibrate.diagnose.input_fit import LIVE, normal_divergence
from calibrate.generators import numpy_generator
from calibrate.result import ChanceBand, ReferenceLayer
from calibrate.stats import Batches
from calibrate.surgery import Site, eps_of, evaluating, keeping_statistics, watching

#: So many times examples are resampled, and so large a share of the resamples lies within the band of each number.
RESAMPLES, WITHIN = 1000, 0.998
#: So many values in float64 are taken at once.
AT_ONCE = 1 << 17
#: How many resamples are pooled at once.
TOGETHER = 250
#: Numbers are told up to this size.
LARGEST = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class ExampleMoments:
    """The inputs of one layer, example by example: over its positions, the mean of x − a and of (x − a)².

    Shapes: ``about``, the a, (C,); ``first`` and ``second`` (n, C); all float64 on the CPU. ``eps`` is the layer's.
    """

    about: Tensor
    first: Tensor
    second: Tensor
    eps: float

    def pooled(self) -> tuple[Tensor, Tensor]:
        """Mean and biased variance (C,) over all examples, each of which counts the same."""
        mean = self.first.mean(0)
        return self.about + mean, (self.second.mean(0) - mean.square()).clamp_min(0)


@dataclass(eq=False)
class _Gathering:
    """What is gathered of one layer: its rows, and the sums over the calls in the pass of the present batch."""

    about: Tensor
    rows: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    sums: tuple[Tensor, Tensor] | None = None
    calls: int = 0

    def add_(self, x: Tensor) -> None:
        """Add the inputs (N, C, *) of one call."""
        positions = tuple(range(2, x.dim()))
        about = self.about.view(-1, *(1,) * len(positions))
        parts: list[tuple[Tensor, Tensor]] = []
        for part in x.split(max(1, AT_ONCE // max(x.shape[1:].numel(), 1))):
            centred = part.double() - about
            parts.append(
                (centred.mean(positions), centred.square_().mean(positions))
                if positions
                else (centred.clone(), centred.square())
            )
        new = tuple(torch.cat(each) for each in zip(*parts, strict=True))
        old = self.sums
        self.sums = (new[0], new[1]) if old is None else (old[0] + new[0], old[1] + new[1])
        self.calls += 1

    def close_(self) -> None:
        """End the pass of a batch: of several calls, each counts the same."""
        if self.sums is not None:
            self.rows.append((self.sums[0].cpu() / self.calls, self.sums[1].cpu() / self.calls))
        self.sums, self.calls = None, 0


def example_moments(model: nn.Module, batches: Batches, sites: Sequence[Site]) -> Mapping[str, ExampleMoments]:
    """The moments of the inputs of each of ``sites`` that keeps statistics, by name, in the order of the calls.

    In evaluation mode. Left out are layers that not every example reaches, or that get inputs of which not each belongs
    to one example. Memory: 16 bytes for each channel and example.
    Cost: one pass, with the moments about two plain passes in time.
    """
    layers: dict[nn.Module, Site] = {site.module: site for site in keeping_statistics(sites)}
    gathered: dict[nn.Module, _Gathering] = {}
    unlike: set[nn.Module] = set()
    size = examples = 0

    def watch(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        x = arguments[0].detach()
        if len(x) != size:
            unlike.add(layer)
            return
        if layer not in gathered:
            over = (0, *range(2, x.dim()))
            gathered[layer] = _Gathering(x.double().mean(over).nan_to_num(0, 0, 0))
        gathered[layer].add_(x)

    with watching(layers, before=watch), evaluating(model), torch.inference_mode():
        for _, inputs in batches.after(0):
            size = len(inputs)
            examples += size
            model(inputs)
            for gathering in gathered.values():
                gathering.close_()
    found: dict[str, ExampleMoments] = {}
    for layer, gathering in gathered.items():
        first, second = (torch.cat(parts) for parts in zip(*gathering.rows, strict=True))
        if layer not in unlike and len(first) == examples:
            found[layers[layer].name] = ExampleMoments(gathering.about.cpu(), first, second, eps_of(layer))
    return found


def reference_layers(moments: Mapping[str, ExampleMoments]) -> tuple[ReferenceLayer, ...]:
    """What a reference keeps of each layer; a layer that is not finite has no place in it."""
    found = []
    for name, layer in moments.items():
        mean, variance = layer.pooled()
        if bool((mean.isfinite() & variance.isfinite()).all()):
            deviation = variance.sqrt()
            found.append(ReferenceLayer(name=name, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist())))
    return tuple(found)


def layer_shift(
    mean: Tensor, deviation: Tensor, reference_mean: Tensor, reference_deviation: Tensor, unit: Tensor
) -> Tensor:
    """√(mean over channels of ((m − m₀)² + (s − s₀)²) / u²): the estimation shift of one layer, in deviations.

    m, s are the mean and standard deviation of its inputs and m₀, s₀ those of the reference, (*, C); u the ``unit``,
    √(s₀² + eps) of the reference (C,). Gives (*).
    """
    squares = (mean - reference_mean).square() + (deviation - reference_deviation).square()
    return (squares / unit.square()).mean(-1).sqrt()


def layer_misfit(
    mean: Tensor, deviation: Tensor, reference_mean: Tensor, reference_deviation: Tensor, live: Tensor
) -> Tensor:
    """The divergence of :func:`normal_divergence` over the ``live`` channels; v = s².

    Shapes as in :func:`layer_shift`; 0 where no channel is live.
    """
    if not bool(live.any()):
        return torch.zeros(mean.shape[:-1], dtype=mean.dtype)
    numbers = (mean, deviation.square(), reference_mean, reference_deviation.square())
    return normal_divergence(*(number[..., live] for number in numbers))


def live_channels(deviation: Tensor) -> Tensor:
    """The channels that carry a signal, by their standard deviations (C,): see ``LIVE``."""
    variance = deviation.square()
    return variance > LIVE * variance.quantile(0.75)


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """How far data are from a reference: the ``shift`` of each layer by name, and the ``misfit`` of the first."""

    layers: Mapping[str, float]
    misfit: float

    @property
    def mean(self) -> float:
        """The mean over the layers."""
        return sum(self.layers.values()) / len(self.layers)


def shift_from(reference: Sequence[ReferenceLayer], moments: Mapping[str, ExampleMoments]) -> Shift | None:
    """The shift of ``moments`` from those of the ``reference``, over the layers that both have alike; None for none.

    Where data are not finite it is the largest number that is told.
    """
    shifts: dict[str, float] = {}
    misfits: list[float] = []
    for layer in reference:
        if layer.name not in moments or len(layer.mean) != len(moments[layer.name].about):
            continue
        mean, variance = moments[layer.name].pooled()
        old_mean, old_deviation = (
            torch.tensor(values, dtype=torch.float64) for values in (layer.mean, layer.deviation)
        )
        unit = (old_deviation.square() + moments[layer.name].eps).sqrt()
        numbers = (mean, variance.sqrt(), old_mean, old_deviation)
        misfits.append(_told(layer_misfit(*numbers, live_channels(old_deviation))))
        shifts[layer.name] = _told(layer_shift(*numbers, unit))
    return Shift(shifts, misfits[0]) if shifts else None


def chance_bands(moments: Mapping[str, ExampleMoments], sizes: Sequence[int], seed: int) -> tuple[ChanceBand, ...]:
    """How far chance takes so many other examples of the same kind from these, for each of ``sizes``.

    From ``RESAMPLES`` pairs: so many of the examples, drawn with replacement, and as many as there are, drawn likewise,
    which stand for the reference, since it is a draw itself. ``WITHIN`` of the pairs lie within each number's band.
    Cost: RESAMPLES × examples × channels multiplications, twice for each size and twice more; no pass.
    """
    examples = len(next(iter(moments.values())).first)
    own = _weights(examples, examples, (seed, 0))
    drawn = [_weights(examples, size, (seed, size)) for size in sizes]
    shifts = [torch.zeros(RESAMPLES) for _ in sizes]
    misfits: list[Tensor] = []
    for place, layer in enumerate(moments.values()):
        mean, variance = layer.pooled()
        unit = (variance + layer.eps).sqrt()
        offset = mean - layer.about
        first = layer.first - offset
        second = ((layer.second - 2 * offset * layer.first + offset.square()) / unit.square()).float()
        first = (first / unit).float()
        live = live_channels(variance.sqrt())
        others = list(_resampled(own, first, second))
        for number, weights in enumerate(drawn):
            found = [(*one, *other) for one, other in zip(_resampled(weights, first, second), others, strict=True)]
            shifts[number] += torch.cat([layer_shift(*four, torch.ones(len(mean))) for four in found])
            if place == 0:
                misfits.append(torch.cat([layer_misfit(*four, live) for four in found]))
    return tuple(
        ChanceBand(
            examples=size,
            shift=_told((shift.double() / len(moments)).quantile(WITHIN)),
            misfit=_told(misfit.double().nan_to_num(LARGEST, LARGEST).quantile(WITHIN)),
        )
        for size, shift, misfit in zip(sizes, shifts, misfits, strict=True)
    )


def _told(value: Tensor) -> float:
    return min(float(value.nan_to_num(LARGEST, LARGEST)), LARGEST)


def _weights(examples: int, size: int, seed: Sequence[int]) -> Tensor:
    """The weight of each of ``examples`` in draws of ``size`` with replacement, (RESAMPLES, examples)."""
    drawn = numpy_generator(seed).multinomial(size, [1 / examples] * examples, size=RESAMPLES)
    return torch.from_numpy(drawn / size).float()


def _resampled(weights: Tensor, first: Tensor, second: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean and standard deviation of the examples in each draw, some draws at a time."""
    for part in weights.split(TOGETHER):
        mean = part @ first
        yield mean, (part @ second - mean.square()).clamp_min(0).sqrt()
