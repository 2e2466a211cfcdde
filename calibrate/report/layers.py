"""The normalisation layers in numbers, and over the depth of the network."""

from math import nan

from calibrate.page import format as fmt
from calibrate.page.figure import Band, Color, Figure, Line, Mark, Panel, Rule, or_gap
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.result import Changes, LayerStatistics
from calibrate.steps import DEAD_VARIANCE

#: Lower variances are drawn here: a logarithmic axis has no 0.
FLOOR = 1e-12
COLUMNS = (
    "channels",
    "positions",
    "|mean| / σ",
    "variance",
    "dead %",
    "γ",
    "|γ − 1|",
    "|β|",
    "α",
)


WORDS = (
    "Of the network after the recipe. Positions: the fewest per channel that the layer was seen with. |mean| / σ: how "
    "far the running mean lies from 0, in running standard deviations. Variance: the running variance's median over "
    "channels, in brackets its lowest and highest. Dead: the share of channels with a running variance below "
    f"{DEAD_VARIANCE:.0e}. |γ − 1| and |β|: how far scale and shift have drifted from where training begins, "
    "γ = 1 and β = 0. All but positions and variance are means over channels."
)


def layers_section(layers: tuple[LayerStatistics, ...], changes: Changes) -> Section:
    """One row per layer, in the order of the network's definition; each number is a mean over channels."""
    title = "Normalisation layers"
    if not layers:
        return Section(title, ("Absent: the network has no normalisation layers.",), detail=True)
    others = {site.names[0]: ", ".join(map(fmt.printable, (*site.names[1:], site.kind))) for site in changes.sites}
    rows = tuple(_row(layer, others.get(layer.name, "")) for layer in layers)
    return Section(title, (WORDS,), Table(COLUMNS, rows), _over_depth(layers), detail=True)


def _row(layer: LayerStatistics, note: str) -> Row:
    spread = ""
    if layer.variance_min is not None and layer.variance_max is not None:
        spread = f"[{_number(layer.variance_min)}, {_number(layer.variance_max)}]"
    return Row(
        fmt.printable(layer.name) or "(the network itself)",
        note,
        (
            Cell(fmt.count(layer.channels)),
            Cell(ABSENT if layer.positions is None else fmt.count(layer.positions)),
            Cell(_number(layer.mean_offset)),
            Cell(_number(layer.variance_median), spread),
            Cell(ABSENT if layer.dead is None else f"{100 * layer.dead:.1f}"),
            *(Cell(_number(value)) for value in (layer.gamma_mean, layer.gamma_drift, layer.beta_drift)),
            Cell("none" if layer.alpha is None else fmt.short(layer.alpha)),
        ),
    )


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3g}"


def _over_depth(layers: tuple[LayerStatistics, ...]) -> Figure:
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
