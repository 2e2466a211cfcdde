"""The health of each layer's channels, as a section."""

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.page.words import layer_label, left_out_words, subject
from calibrate.result import (
    DEAD_VARIANCE,
    EXPLODING_SHARE,
    FAR_OUT,
    PRUNED_GAMMA,
    ChannelHealth,
    GradientFactor,
    LayerHealth,
)

COLUMNS = (
    "channels",
    "dead",
    "silent",
    "pruned",
    "exploding",
    f"beyond {FAR_OUT:g}σ %",
    "largest |x̂|",
    "γ/√(σ² + eps)",
)
_LEFT_OUT = "without running statistics of each channel, of a kind that may do more than normalise, or never called"


def channel_health_section(result: ChannelHealth, place: int) -> Section:
    """The channels that carry nothing or explode, histograms of |γ − 1| and |β|, and the gradient factor by depth."""

    def draw() -> str:
        from calibrate.report.probes.channel_health_plot import health_over_depth

        return health_over_depth(result, place)

    return Section(
        f"Channel health {subject(result.tuned)}",
        (_shows(result), _columns(result), *left_out_words(result.left_out, _LEFT_OUT)),
        Table(COLUMNS, tuple(_row(layer) for layer in result.layers)),
        draw if result.layers else None,
    )


def _shows(result: ChannelHealth) -> str:
    channels = sum(layer.channels for layer in result.layers)
    dead = sum(layer.dead for layer in result.layers)
    silent = sum(layer.silent for layer in result.layers)
    pruned = sum(layer.pruned or 0 for layer in result.layers)
    exploding = sum(layer.exploding for layer in result.layers)
    return (
        f"Of {fmt.counted(channels, 'channel')} in {fmt.counted(len(result.layers), 'layer')}, {dead} are dead, "
        f"{silent} silent, {pruned} pruned and {exploding} exploding."
    )


def _columns(result: ChannelHealth) -> str:
    return (
        f"On {fmt.counted(result.images, 'example')} of the holdout half, the network in evaluation mode. Dead: a "
        f"running variance below {DEAD_VARIANCE:.0e}; silent: variance of the inputs on these examples below that; "
        f"pruned: |γ| below {PRUNED_GAMMA:g}; exploding: more than {100 * EXPLODING_SHARE:g} % of the channel's values "
        f"x̂ = (x − mean)/√(variance + eps) beyond ±{FAR_OUT:g}, where a normal distribution has 0.0000002 %. The share "
        "beyond is over all values of the layer. γ/√(σ² + eps), the gradient factor: what the layer multiplies the "
        "gradient by, its absolute value's median over channels, in brackets the lowest and the highest. Training "
        "begins at γ = 1 and β = 0, so the histograms show how far it moved them."
    )


def _row(layer: LayerHealth) -> Row:
    counts = (layer.channels, layer.dead, layer.silent, layer.pruned, layer.exploding)
    cells = (
        *(Cell(ABSENT if number is None else fmt.count(number)) for number in counts),
        Cell(f"{100 * layer.far_out:.2g}"),
        Cell(ABSENT if layer.furthest is None else f"{layer.furthest:.3g}"),
        _factor(layer.gradient_factor),
    )
    return Row(layer_label(layer.name), "", cells)


def _factor(factor: GradientFactor | None) -> Cell:
    if factor is None:
        return Cell(ABSENT)
    return Cell(f"{factor.median:.3g}", f"[{factor.lowest:.3g}, {factor.highest:.3g}]")
