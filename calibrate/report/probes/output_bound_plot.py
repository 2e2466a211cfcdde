"""The figure of the output bound over the network's depth, as inline SVG."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import OutputBound

_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#8a8a8a"
_NAN = float("nan")


def bound_over_depth(result: OutputBound, place: int) -> str:
    """The bound, and the largest |x̂| in training and in inference, on a logarithmic axis; below, the share outside."""
    depth = range(1, len(result.layers) + 1)
    lines = (
        ("in inference", "s-", _ORANGE, [_farthest(layer.inference) for layer in result.layers]),
        ("in training", "o-", _BLUE, [_farthest(layer.training) for layer in result.layers]),
    )
    with drawing_style():
        figure = Figure(figsize=(7.0, 5.0), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        bounds = [layer.bound or _NAN for layer in result.layers]
        above.plot(depth, bounds, "_--", color="black", lw=1.2, label="bound in training, √(M − 1)")
        for label, style, colour, values in lines:
            above.plot(depth, values, style, color=colour, ms=3, lw=1.2, label=label)
        above.set_yscale("log")
        above.set_ylabel("largest |x̂|")
        below.plot(depth, [100 * layer.outside for layer in result.layers], "s-", color=_ORANGE, ms=3, lw=1.2)
        below.set_ylim(bottom=0)
        below.set_ylabel("outside in inference (%)")
        below.set_xlabel("normalisation layer, in the order of the calls")
        below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for axes in (above, below):
            axes.margins(x=0.02)
        above.legend(fontsize=10)
        label = (
            f"Bound of the normalised output of {len(result.layers)} layers in training with batches of "
            f"{result.train_batch_size}, the largest output seen in training and in inference, and the share outside"
        )
        return inline_svg(figure, f"probe-{place}", label)


def _farthest(span: tuple[float, float] | None) -> float:
    """The largest absolute value; a gap in the line where there is none, or 0, which a logarithmic axis has not."""
    return _NAN if span is None else max(-span[0], span[1]) or _NAN
