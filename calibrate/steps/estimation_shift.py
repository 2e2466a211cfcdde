"""The probe ``estimation_shift``: how far running statistics are from those of the data."""

from typing import Literal

from calibrate.page import format as fmt
from calibrate.page.figure import Color, Figure, Line, Panel, or_gap
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.page.words import NotFinite, layer_label, names_words, not_finite_words, subject
from calibrate.steps.step import Probe, ProbeResult, Sites, TrainingDataUse
from calibrate.values import Value


class LayerShift(Value):
    """How far one layer's running mean rm and variance rv are from the mean m and biased variance v of its inputs.

    ``mean`` is ‖rm − m‖₂ and ``deviation`` ‖√rv − √v‖₂, in the units of the activations. ``mean_in_deviations`` and
    ``deviation_in_deviations`` are the same with each channel over its √(v + eps), and over √C for C channels: their
    root mean square. ``..._by_chance`` estimates what so few examples make of these two where there is no shift; it is
    None for a single example. All are None where the layer's statistics, or inputs, are ``not_finite``.
    """

    name: str
    channels: int
    mean: float | None
    deviation: float | None
    mean_in_deviations: float | None
    deviation_in_deviations: float | None
    mean_by_chance: float | None
    deviation_by_chance: float | None
    not_finite: NotFinite = ""


class InputShift(Value):
    """How far the network's input is from that on ``images`` training examples, channel by channel.

    ``mean`` is ‖m_train − m‖₂ and ``deviation`` ‖√v_train − √v‖₂, of means and biased variances (÷n).
    """

    images: int
    channels: int
    mean: float
    deviation: float


class EstimationShift(ProbeResult):
    """The shift of each layer, in the order of the calls; ``input`` is layer 0, None without training data.

    ``correlation_with_depth`` is Spearman's, of ``deviation_in_deviations`` with the place of the layer; None with
    fewer than three layers, and where one is not finite.
    """

    kind: Literal["estimation_shift"] = "estimation_shift"
    input: InputShift | None = None
    layers: tuple[LayerShift, ...]
    correlation_with_depth: float | None

    def sections(self) -> tuple[Section, ...]:
        """The numbers as a table and a figure, and how to read them."""
        return (_section(self),)


class ProbeEstimationShift(Probe):
    """Measure how far the running statistics are from those of the data.

    Measure how far the running statistics of the matching layers are from those of their inputs, without labels.

    With training data also how far the network's input, layer 0, is from theirs.

    With rm, rv a layer's running mean and variance, m and v the mean and biased variance of its inputs on the holdout
    half, all in evaluation mode, over its C channels; for layer 0, the network's input, rm and rv are the training
    data's::

        ESM_μ = ‖rm − m‖₂,  ESM_σ = ‖√rv − √v‖₂;  also each over √C, and channel by channel over √(v + eps)

    *Changes nothing when* always: it only looks.

    *Helps when* one wants to know whether data differ from the training data, where in the network it shows, and
    whether it grows with depth.

    *Does not help when* one wants to know whether re-estimated statistics are better: a network can like its old ones
    best, so measure.

    Cost: one pass over the holdout half; with training data, these and the holdout half are read once more.

    Limits: needs no labels, and for layer 0 training data. With few examples the statistics of the data are
    themselves uncertain; what that alone makes is given beside each number.

    Reference: Huang, Zhou, Wang, Liu, Xu, Wang, Ouyang and Liu, Delving into the Estimation Shift of Batch
    Normalization in a Network, CVPR 2022, Definition 2
    """

    needs_labels = False
    result = EstimationShift
    uses_training_data = ""

    kind: Literal["estimation_shift"] = "estimation_shift"
    sites: Sites = ("*",)

    @property
    def training_data(self) -> TrainingDataUse:
        """Used where given: their input is compared with that of the data."""
        return "optional"

    @property
    def needs_logits(self) -> bool:
        """Never."""
        return False


COLUMNS = ("ESM_μ", "/√C", "in σ", "by chance", "ESM_σ", "/√C", "in σ", "by chance")


def _section(result: EstimationShift) -> Section:
    """ESM by depth, raw and comparable between layers, beside what chance makes."""
    return Section(
        f"Estimation shift {subject(result.tuned)}",
        (_shows(result), _input(result), _columns(result)),
        Table(COLUMNS, (*_input_row(result), *(_row(layer) for layer in result.layers))),
        _figure(result),
    )


def _shows(result: EstimationShift) -> str:
    shifts = {
        layer.name: layer.deviation_in_deviations
        for layer in result.layers
        if layer.deviation_in_deviations is not None
    }
    if not shifts:
        return f"{not_finite_words(result.layers)}So no layer has a shift."
    furthest = max(shifts, key=lambda name: shifts[name])
    rho = result.correlation_with_depth
    depth = "" if rho is None else f" Over the layers it {_trend(rho)} (rank correlation {rho:+.2f})."
    broken = [layer for layer in result.layers if layer.not_finite]
    without = [layer.name for layer in broken if layer.not_finite == "statistics"] or [layer.name for layer in broken]
    apart = f" of the other {fmt.counted(len(shifts), 'layer')} (without {names_words(without)})" if broken else ""
    return (
        f"{not_finite_words(result.layers)}ESM_σ is largest in {layer_label(furthest)}{apart}, {shifts[furthest]:.2f} "
        f"in the channels' own standard deviations (√C apart).{depth}"
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
        None if layer.mean is None else layer.mean / width,
        layer.mean_in_deviations,
        layer.mean_by_chance,
        layer.deviation,
        None if layer.deviation is None else layer.deviation / width,
        layer.deviation_in_deviations,
        layer.deviation_by_chance,
    )
    return Row(layer_label(layer.name), "", _cells(numbers))


def _cells(numbers: tuple[float | None, ...]) -> tuple[Cell, ...]:
    return tuple(Cell(ABSENT if number is None else f"{number:.3g}") for number in numbers)


def _figure(result: EstimationShift) -> Figure:
    """ESM_μ and ESM_σ of each layer in standard deviations, in the order of the calls; dashed, what chance makes."""
    depth = range(1, len(result.layers) + 1)
    means = [(layer.mean_in_deviations, layer.mean_by_chance) for layer in result.layers]
    deviations = [(layer.deviation_in_deviations, layer.deviation_by_chance) for layer in result.layers]
    marks: list[Line] = []
    series: tuple[tuple[str, str, Color, list[tuple[float | None, float | None]]], ...] = (
        ("means", "o", "blue", means),
        ("deviations", "s", "orange", deviations),
    )
    for label, marker, color, pairs in series:
        marks.append(Line(depth, [or_gap(shift) for shift, _ in pairs], color, label, marker))
        chance = [or_gap(by_chance) for _, by_chance in pairs]
        marks.append(Line(depth, chance, color, f"{label}, by chance", dash="--", width=1))
    panel = Panel(
        tuple(marks),
        x_label="normalisation layer, in the order of the calls",
        y_label="shift (σ of the channel)",
        x_whole=True,
        y_from=0,
        narrow=True,
        legend="best",
    )
    label = f"Estimation shift of {len(result.layers)} normalisation layers over the depth of the network"
    return Figure(label, ((panel,),), 7.0, 3.4)
