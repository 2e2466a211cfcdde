"""The probe ``statistic_noise``: what random errors in the running statistics cost."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import inf
from typing import Annotated, Literal

from pydantic import Field, field_validator

from calibrate.page import format as fmt
from calibrate.page.figure import ErrorBars, Figure, Mark, Panel, Rule, or_gap
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.steps.step import Probe, ProbeResult, Sites
from calibrate.values import NUMBER, Value


class NoiseLevel(Value):
    """Top-1 and mean cross-entropy (nats) over the draws of noise of one magnitude Δ: mean and standard deviation.

    ``broken`` counts the draws that left an example without finite logits. Such an example counts as wrong, and where
    there is one the cross-entropy is None.
    """

    delta: float
    top1: float
    top1_sd: float
    nll: float | None
    nll_sd: float | None
    broken: int


class NoiseCurve(Value):
    """What becomes of the network, Δ by Δ, where the statistics of the ``sites`` are disturbed all at once."""

    sites: tuple[str, ...]
    levels: tuple[NoiseLevel, ...]


class StatisticNoise(ProbeResult):
    """Top-1 and cross-entropy of the raw logits, undisturbed and with random relative noise in running statistics.

    One curve, or one for each layer by itself. ``chosen`` says how the layers were: ``first_of_blocks`` is the first of
    each of the first residual blocks, ``first_layers`` the first layers where no such block holds any.
    """

    kind: Literal["statistic_noise"] = "statistic_noise"
    chosen: Literal["first_of_blocks", "first_layers", "all"]
    granularity: Literal["channel", "layer"]
    repetitions: int
    top1: float
    nll: float
    curves: tuple[NoiseCurve, ...]

    def sections(self) -> tuple[Section, ...]:
        """The numbers as a table and a figure, and how to read them."""
        return (_section(self),)


class ProbeStatisticNoise(Probe):
    """Disturb the running statistics at random, and measure what it costs.

    Disturb running statistics at random, by up to Δ of their size, and measure what the network then predicts.

    ``first_of_blocks``: of each of the first six residual blocks with matching layers, the first of these; where no
    block has any, the first six matching layers. ``together``: all of them at once; ``each``: one layer at a time.

    With rm, rv the running mean and variance of the chosen layers, and δ, δ′ drawn anew for each channel (or layer)
    and repetition, the same numbers times Δ for every Δ::

        rm ← (1 + δ)·rm,  rv ← (1 + δ′)·rv,  δ, δ′ ~ U(−Δ, Δ)

    *Changes nothing when* always: it only looks.

    *Helps when* one wants to know how much depends on well estimated statistics, and in which layer: ``disturb``
    each.

    *Does not help when* one wants to know how far off they are: that is the step estimation_shift.

    Cost: 1 + ``repetitions`` passes for each Δ, over at most ``max_samples`` examples; with ``disturb`` each, so many
    for each Δ and layer.

    Limits: needs labels. Noise is relative, so that a channel whose mean is near 0 keeps it; real errors are not
    independent between channels. The spread is that of the draws, on the same examples.

    Reference: Huang, Zhou, Wang, Liu, Xu, Wang, Ouyang and Liu, Delving into the Estimation Shift of Batch
    Normalization in a Network, CVPR 2022, Eq. 5 and Figure 8
    """

    result = StatisticNoise

    kind: Literal["statistic_noise"] = "statistic_noise"
    deltas: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1), NUMBER], ...],
        Field(min_length=1, description="magnitudes Δ of the noise, ascending"),
    ] = (0.1, 0.2, 0.3, 0.4, 0.5)
    repetitions: Annotated[int, Field(ge=5, le=1000, description="draws of the noise for each Δ"), NUMBER] = 5
    granularity: Annotated[Literal["channel", "layer"], Field(description="what has a draw of its own")] = "channel"
    where: Annotated[Literal["first_of_blocks", "all"], Field(description="which of the matching layers")] = (
        "first_of_blocks"
    )
    disturb: Annotated[Literal["together", "each"], Field(description="all layers at once, or one at a time")] = (
        "together"
    )
    max_samples: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None,
        Field(description="at most so many examples, drawn from the holdout half; else all of it"),
    ] = None
    sites: Sites = ("*",)

    @field_validator("deltas")
    @classmethod
    def _ascending(cls, deltas: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(deltas)):
            raise ValueError(f"deltas are {', '.join(map(str, deltas))}; give each once, the smallest first")
        return deltas


COLUMNS = ("Δ", "top-1 %", "sd", "change", "NLL", "sd", "change")

_CHOSEN = {
    "first_of_blocks": "the first matching layer of each of the first residual blocks",
    "first_layers": "the first matching layers, since no residual block was found that holds one",
    "all": "all matching layers",
}


def _section(result: StatisticNoise) -> Section:
    """Top-1 and cross-entropy against Δ, or layer by layer, with the spread of the draws."""
    return Section(
        f"Noise in the running statistics {'of the tuned network' if result.tuned else 'of the original network'}",
        (_shows(result), _disturbed(result), _columns(result)),
        Table(COLUMNS, tuple(_rows(result))),
        _figure(result),
    )


def _shows(result: StatisticNoise) -> str:
    worst = max(result.curves, key=lambda curve: _harm(curve.levels[-1]))
    level = worst.levels[-1]
    which = f"NLL suffers most from noise in {fmt.printable(_label(worst))}: with" if len(result.curves) > 1 else "With"
    nll = (
        "and some examples are left without finite logits"
        if level.nll is None
        else f"and NLL from {fmt.score('nll', result.nll)} to {fmt.score('nll', level.nll)}"
    )
    return (
        f"{which} noise of up to {level.delta:.0%}, top-1 goes from {fmt.score('top1', result.top1)} % to "
        f"{fmt.score('top1', level.top1)} % (sd {fmt.score('top1', level.top1_sd)}) {nll}."
    )


def _harm(level: NoiseLevel) -> float:
    return inf if level.nll is None else level.nll


def _disturbed(result: StatisticNoise) -> str:
    names = [fmt.printable(name) for curve in result.curves for name in curve.sites]
    each = ", one at a time" if len(result.curves) > 1 else ""
    return f"Disturbed were {_CHOSEN[result.chosen]}{each}: {', '.join(names)}."


def _columns(result: StatisticNoise) -> str:
    own = {"channel": "Every channel has draws of its own.", "layer": "All channels of a layer share its draws."}
    return (
        f"On {fmt.counted(result.images, 'example')} of the holdout half, of the raw logits, without a temperature. "
        f"Running means and variances are multiplied by 1 + δ and 1 + δ′, drawn evenly between −Δ and Δ. "
        f"{own[result.granularity]} Mean and standard deviation over {result.repetitions} draws, the same for every Δ; "
        "change: the mean minus what the undisturbed network has."
    )


def _rows(result: StatisticNoise) -> Iterator[Row]:
    undisturbed = (fmt.score("top1", result.top1), "", "", fmt.score("nll", result.nll), "", "")
    yield Row("undisturbed", "", tuple(map(Cell, ("0", *undisturbed))))
    for curve in result.curves:
        for level in curve.levels:
            yield Row(fmt.printable(_label(curve)), "", tuple(map(Cell, _numbers(level, result))))


def _numbers(level: NoiseLevel, result: StatisticNoise) -> tuple[str, ...]:
    top1 = (
        fmt.score("top1", level.top1),
        fmt.score("top1", level.top1_sd),
        fmt.change("top1", level.top1 - result.top1),
    )
    if level.nll is None or level.nll_sd is None:
        return (f"{level.delta:g}", *top1, "not finite", ABSENT, ABSENT)
    nll = (fmt.score("nll", level.nll), fmt.score("nll", level.nll_sd), fmt.change("nll", level.nll - result.nll))
    return (f"{level.delta:g}", *top1, *nll)


def _label(curve: NoiseCurve) -> str:
    return curve.sites[0] or "(the network itself)" if len(curve.sites) == 1 else f"{len(curve.sites)} layers"


#: The opacity of the smallest Δ; the largest is drawn in full.
_FAINTEST = 0.25

_Level = Callable[[NoiseLevel], float | None]


def _figure(result: StatisticNoise) -> Figure:
    """Top-1 and NLL against Δ, or layer by layer, with the standard deviation over the draws."""
    of_top1: tuple[str, float, _Level, _Level] = (
        "top-1 %",
        100 * result.top1,
        lambda level: 100 * level.top1,
        lambda level: 100 * level.top1_sd,
    )
    of_nll: tuple[str, float, _Level, _Level] = (
        "NLL (nats)",
        result.nll,
        lambda level: level.nll,
        lambda level: level.nll_sd,
    )
    if len(result.curves) > 1:
        rows = ((_by_layer(result, *of_top1, last=False),), (_by_layer(result, *of_nll, last=True),))
        label = f"Top-1 and NLL with noise in each of {len(result.curves)} layers"
        return Figure(label, rows, 7.0, 4.6, share_x=True)
    (curve,) = result.curves
    label = f"Top-1 and NLL against noise in {len(curve.sites)} layers"
    return Figure(label, ((_by_magnitude(curve, *of_top1), _by_magnitude(curve, *of_nll)),), 7.0, 3.2)


def _by_magnitude(curve: NoiseCurve, y_label: str, undisturbed: float, mean: _Level, sd: _Level) -> Panel:
    """Against Δ, from the undisturbed network on."""
    bars = ErrorBars(
        [0.0, *(level.delta for level in curve.levels)],
        [undisturbed, *(or_gap(mean(level)) for level in curve.levels)],
        [0.0, *(or_gap(sd(level)) for level in curve.levels)],
        "blue",
    )
    return Panel((bars,), x_label="magnitude Δ of the noise", y_label=y_label, x_from=0)


def _by_layer(
    result: StatisticNoise, y_label: str, undisturbed: float, mean: _Level, sd: _Level, *, last: bool
) -> Panel:
    """With one layer disturbed at a time; the dashed line is the undisturbed network."""
    depth, count = range(1, len(result.curves) + 1), len(result.curves[0].levels)
    marks: list[Mark] = [Rule(y=undisturbed)]
    for number in range(count):
        levels = [curve.levels[number] for curve in result.curves]
        heights, spreads = ([or_gap(value(level)) for level in levels] for value in (mean, sd))
        opacity = _FAINTEST + (1 - _FAINTEST) * (number + 1) / count
        marks.append(ErrorBars(depth, heights, spreads, "blue", f"Δ = {levels[0].delta:g}", False, opacity))
    return Panel(
        tuple(marks),
        x_label="disturbed layer, in the order of the network's definition" if last else "",
        y_label=y_label,
        x_whole=True,
        narrow=True,
        legend="" if last else "best",
    )
