"""The figure of the normalisation layers over the network's depth."""

from math import nan

from calibrate.page.figure import Band, Color, Figure, Line, Mark, Panel, Rule, or_gap
from calibrate.result import LayerStatistics
from calibrate.steps import DEAD_VARIANCE

#: Lower variances are drawn here: a logarithmic axis has no 0.
FLOOR = 1e-12


def layers_over_depth(layers: tuple[LayerStatistics, ...]) -> Figure:
    """Running variance (median, and the band from lowest to highest) and drift of γ and β, layer after layer."""
    depth = range(1, len(layers) + 1)
    low, middle, high = (
        [nan if value is None else max(value, FLOOR) for value in values]
        for values in (
            [layer.variance_min for layer in layers],
            [layer.variance_median for layer in layers],
            [layer.variance_max for layer in layers],
        )
    )
    marks: list[Mark] = [
        Band(depth, low, high, "blue", "lowest to highest channel"),
        Line(depth, middle, "blue", "median channel", "o", width=1.5),
    ]
    if any(value < DEAD_VARIANCE for value in low):
        marks.append(Rule(y=DEAD_VARIANCE, label="dead below"))
    above = Panel(tuple(marks), y_label="running variance", y_log=True, narrow=True, legend="best")
    drifts: tuple[tuple[str, str, str, Color, list[float | None]], ...] = (
        ("|γ − 1|", "s", "-", "orange", [layer.gamma_drift for layer in layers]),
        ("|β|", "^", "-", "green", [layer.beta_drift for layer in layers]),
        ("|mean| / σ", "o", "--", "grey", [layer.mean_offset for layer in layers]),
    )
    below = Panel(
        tuple(
            Line(depth, list(map(or_gap, values)), color, label, marker, dash)
            for label, marker, dash, color, values in drifts
        ),
        x_label="normalisation layer, in the order of the network's definition",
        y_label="mean over channels",
        y_from=0,
        x_whole=True,
        narrow=True,
        legend="best",
    )
    label = f"Running variance, offset of the mean and drift of γ and β of {len(layers)} normalisation layers"
    return Figure(label, ((above,), (below,)), 7.0, 5.0, share_x=True)
