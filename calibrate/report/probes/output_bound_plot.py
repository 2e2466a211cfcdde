"""The figure of the output bound over the network's depth, as inline SVG."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import OutputBound

_BLUE, _ORANGE = "#0072b2", "#d55e00"
_NAN = float("nan")


def bound_over_depth(result: OutputBound, place: int) -> str:
    """The bound, and the largest |x̂| in training and in inference, on a logarithmic axis.

    Below, where there is any, the share that is outside in inference.
    """
    depth = range(1, len(result.layers) + 1)
    shares = [100 * layer.outside for layer in result.layers]
    with drawing_style():
        rows = 2 if any(shares) else 1
        figure = Figure(figsize=(7.0, 1.6 + 1.7 * rows), layout="constrained")
        panels = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=(3, 2)[:rows])[:, 0]
        _draw_ends(panels[0], result)
        if rows == 2:
            panels[1].plot(depth, shares, "s-", color=_ORANGE, ms=3, lw=1.2)
            panels[1].set_ylim(bottom=0)
            panels[1].set_ylabel("outside (%)")
        panels[-1].set_xlabel("normalisation layer, in the order of the calls")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for axes in panels:
            axes.margins(x=0.02)
        label = (
            f"Bound of the normalised output of {len(result.layers)} layers in training with batches of "
            f"{result.train_batch_size}, and the largest output seen in training and in inference"
        )
        return inline_svg(figure, f"probe-{place}", label)


def _draw_ends(axes: Axes, result: OutputBound) -> None:
    depth = range(1, len(result.layers) + 1)
    bounds = [layer.bound or _NAN for layer in result.layers]
    axes.plot(depth, bounds, "_--", color="black", ds="steps-mid", lw=1.2, label="bound in training, √(M − 1)")
    inference, training = (
        [_farthest(span) for span in spans]
        for spans in ([layer.inference for layer in result.layers], [layer.training for layer in result.layers])
    )
    axes.plot(depth, inference, "s-", color=_ORANGE, ms=3, lw=1.2, label="in inference")
    axes.plot(depth, training, "o-", color=_BLUE, ms=3, lw=1.2, label="in training")
    axes.set_yscale("log")
    axes.set_ylabel("largest |x̂|")
    axes.legend(fontsize=10)


def _farthest(span: tuple[float, float] | None) -> float:
    """The largest absolute value; a gap in the line where there is none, or 0, which a logarithmic axis has not."""
    return _NAN if span is None else max(-span[0], span[1]) or _NAN
