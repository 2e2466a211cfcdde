"""What random noise in running statistics costs, as a section."""

from collections.abc import Iterator
from math import inf

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.result import NoiseCurve, NoiseLevel, StatisticNoise

COLUMNS = ("Δ", "top-1 %", "sd", "change", "NLL", "sd", "change")

_CHOSEN = {
    "first_of_blocks": "the first matching layer of each of the first residual blocks",
    "first_layers": "the first matching layers, since no residual block was found that holds one",
    "all": "all matching layers",
}


def statistic_noise_section(result: StatisticNoise, place: int) -> Section:
    """Top-1 and cross-entropy against Δ, or layer by layer, with the spread of the draws."""

    def draw() -> str:
        from calibrate.report.probes.statistic_noise_plot import noise_by_layer, noise_by_magnitude

        return (noise_by_layer if len(result.curves) > 1 else noise_by_magnitude)(result, place)

    return Section(
        f"Noise in the running statistics {'of the tuned network' if result.tuned else 'of the network as it came'}",
        (_shows(result), _disturbed(result), _columns(result)),
        Table(COLUMNS, tuple(_rows(result))),
        draw,
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
