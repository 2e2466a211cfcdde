"""The figures of the statistic-noise probe, as inline SVG."""

from collections.abc import Callable

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import NoiseLevel, StatisticNoise

_BLUE, _GREY = "#0072b2", "#8a8a8a"
#: From the smallest Δ to the largest, light to dark.
_FAINTEST = 0.25

_Value = Callable[[NoiseLevel], float | None]
_Panel = tuple[str, float, _Value, _Value]


def noise_by_magnitude(result: StatisticNoise, place: int) -> str:
    """Top-1 and NLL against Δ, from the undisturbed network on, with the standard deviation over the draws."""
    (curve,) = result.curves
    with drawing_style():
        figure = Figure(figsize=(7.0, 3.2), layout="constrained")
        for axes, (label, plain, mean, sd) in zip(figure.subplots(1, 2), _panels(result), strict=True):
            deltas = [0.0, *(level.delta for level in curve.levels)]
            heights = [plain, *(_or_gap(mean(level)) for level in curve.levels)]
            spreads = [0.0, *(_or_gap(sd(level)) for level in curve.levels)]
            axes.errorbar(deltas, heights, spreads, fmt="o-", color=_BLUE, ms=4, lw=1.2, capsize=3)
            axes.set_xlim(left=0)
            axes.set_ylabel(label)
            axes.set_xlabel("magnitude Δ of the noise")
        return inline_svg(figure, f"probe-{place}", f"Top-1 and NLL against noise in {len(curve.sites)} layers")


def noise_by_layer(result: StatisticNoise, place: int) -> str:
    """Top-1 and NLL with one layer disturbed at a time, layer by layer; the dashed line is the undisturbed network."""
    depth = range(1, len(result.curves) + 1)
    magnitudes = len(result.curves[0].levels)
    with drawing_style():
        figure = Figure(figsize=(7.0, 4.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for axes, (label, plain, mean, sd) in zip((above, below), _panels(result), strict=True):
            axes.axhline(plain, color=_GREY, ls="--", lw=1)
            for number in range(magnitudes):
                levels = [curve.levels[number] for curve in result.curves]
                axes.errorbar(
                    depth,
                    [_or_gap(mean(level)) for level in levels],
                    [_or_gap(sd(level)) for level in levels],
                    fmt="o",
                    color=_BLUE,
                    alpha=_FAINTEST + (1 - _FAINTEST) * (number + 1) / magnitudes,
                    ms=4,
                    capsize=3,
                    label=f"Δ = {levels[0].delta:g}",
                )
            axes.set_ylabel(label)
            axes.margins(x=0.02)
        below.set_xlabel("disturbed layer, in the order of the network's definition")
        below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        above.legend(fontsize=10)
        return inline_svg(figure, f"probe-{place}", f"Top-1 and NLL with noise in each of {len(depth)} layers")


def _panels(result: StatisticNoise) -> tuple[_Panel, _Panel]:
    return (
        ("top-1 %", 100 * result.top1, lambda level: 100 * level.top1, lambda level: 100 * level.top1_sd),
        ("NLL (nats)", result.nll, lambda level: level.nll, lambda level: level.nll_sd),
    )


def _or_gap(number: float | None) -> float:
    return float("nan") if number is None else number
