"""The normalisation layers' statistics as a table, and how to read it."""

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Table
from calibrate.result import LayerStatistics
from calibrate.steps import DEAD_VARIANCE

NO_LAYERS = "Absent: the network has no batch normalisation layers."
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


def layers_table(layers: tuple[LayerStatistics, ...]) -> Table:
    """One row per layer, in the order of the network's definition; each number is a mean over channels."""
    return Table(COLUMNS, tuple(_row(layer) for layer in layers))


def layers_words() -> str:
    """What the columns are."""
    return (
        "Of the tuned network. Positions: the fewest per channel that the layer was seen with. |mean| / σ: how far the "
        "running mean lies from 0, in running standard deviations. Variance: the running variance's median over "
        "channels, in brackets its lowest and highest. Dead: the share of channels with a running variance below "
        f"{DEAD_VARIANCE:.0e}. |γ − 1| and |β|: how far scale and shift have drifted from where training begins, "
        "γ = 1 and β = 0. All but positions and variance are means over channels."
    )


def _row(layer: LayerStatistics) -> Row:
    spread = ""
    if layer.variance_min is not None and layer.variance_max is not None:
        spread = f"[{_number(layer.variance_min)}, {_number(layer.variance_max)}]"
    return Row(
        fmt.printable(layer.name) or "(the network itself)",
        "",
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
