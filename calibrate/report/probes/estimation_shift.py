"""The estimation shift of each layer, as a section."""

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.page.words import layer_label, subject
from calibrate.result import EstimationShift, LayerShift

COLUMNS = ("ESM_μ", "/√C", "in σ", "by chance", "ESM_σ", "/√C", "in σ", "by chance")


def estimation_shift_section(result: EstimationShift, place: int) -> Section:
    """ESM by depth, raw and comparable between layers, beside what chance makes."""

    def draw() -> str:
        from calibrate.report.probes.estimation_shift_plot import shift_over_depth

        return shift_over_depth(result, place)

    return Section(
        f"Estimation shift {subject(result.tuned)}",
        (_shows(result), _input(result), _columns(result)),
        Table(COLUMNS, (*_input_row(result), *(_row(layer) for layer in result.layers))),
        draw,
    )


def _shows(result: EstimationShift) -> str:
    furthest = max(result.layers, key=lambda layer: layer.deviation_in_deviations)
    rho = result.correlation_with_depth
    depth = "" if rho is None else f" Over the layers it {_trend(rho)} (rank correlation {rho:+.2f})."
    return (
        f"ESM_σ is largest in {layer_label(furthest.name)}, {furthest.deviation_in_deviations:.2f} in the channels' "
        f"own standard deviations (√C apart).{depth}"
    )


def _trend(rho: float) -> str:
    if abs(rho) < 0.5:
        return "neither clearly grows nor shrinks"
    return "grows with depth" if rho > 0 else "shrinks with depth"


def _input(result: EstimationShift) -> str:
    if result.input is None:
        return "Layer 0, the network's input: not applicable, because no training data were given to compare with."
    return (
        f"Layer 0 is the network's input, compared with that on {fmt.counted(result.input.images, 'example')} of the "
        "training data."
    )


def _input_row(result: EstimationShift) -> tuple[Row, ...]:
    if result.input is None:
        return ()
    width = result.input.channels**0.5
    mean, deviation = result.input.mean, result.input.deviation
    numbers = (mean, mean / width, None, None, deviation, deviation / width, None, None)
    return (Row("(the input)", "", _cells(numbers)),)


def _columns(result: EstimationShift) -> str:
    return (
        f"On {fmt.counted(result.images, 'example')} of the holdout half, the network in evaluation mode. ESM_μ and "
        "ESM_σ: how far the running means and standard deviations are from those of the layer's inputs, as a norm over "
        "its channels. /√C: the same for one channel, so that layers of different width compare. In σ: each channel "
        "over its own standard deviation first. By chance: what so few examples make of the column before without any "
        "shift."
    )


def _row(layer: LayerShift) -> Row:
    width = layer.channels**0.5
    numbers = (
        layer.mean,
        layer.mean / width,
        layer.mean_in_deviations,
        layer.mean_by_chance,
        layer.deviation,
        layer.deviation / width,
        layer.deviation_in_deviations,
        layer.deviation_by_chance,
    )
    return Row(layer_label(layer.name), "", _cells(numbers))


def _cells(numbers: tuple[float | None, ...]) -> tuple[Cell, ...]:
    return tuple(Cell(ABSENT if number is None else f"{number:.3g}") for number in numbers)
