"""The figure of the estimation shift over the network's depth, as inline SVG."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import EstimationShift

_BLUE, _ORANGE = "#0072b2", "#d55e00"


def shift_over_depth(result: EstimationShift, place: int) -> str:
    """ESM_μ and ESM_σ of each layer in standard deviations, in the order of the calls; dashed, what chance makes."""
    depth = range(1, len(result.layers) + 1)
    lines = (
        ("means", "o", _BLUE, [(layer.mean_in_deviations, layer.mean_by_chance) for layer in result.layers]),
        (
            "deviations",
            "s",
            _ORANGE,
            [(layer.deviation_in_deviations, layer.deviation_by_chance) for layer in result.layers],
        ),
    )
    with drawing_style():
        figure = Figure(figsize=(7.0, 3.4), layout="constrained")
        axes = figure.subplots()
        for label, marker, colour, pairs in lines:
            axes.plot(depth, [shift for shift, _ in pairs], f"{marker}-", color=colour, ms=3, lw=1.2, label=label)
            chance = [float("nan") if by_chance is None else by_chance for _, by_chance in pairs]
            axes.plot(depth, chance, "--", color=colour, lw=1, label=f"{label}, by chance")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.02)
        axes.set_ylabel("shift (σ of the channel)")
        axes.set_xlabel("normalisation layer, in the order of the calls")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(fontsize=10)
        label = f"Estimation shift of {len(result.layers)} normalisation layers over the depth of the network"
        return inline_svg(figure, f"probe-{place}", label)
