"""The probe ``channel_health``: dead, pruned and exploding channels."""

from math import nan
from typing import Final, Literal

from calibrate.page import format as fmt
from calibrate.page.figure import Band, Bars, Color, Figure, Line, Panel
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.page.words import NotFinite, layer_label, left_out_words, not_finite_words, subject
from calibrate.steps.step import Probe, ProbeResult, Sites
from calibrate.values import Value

#: A channel whose running variance lies below this carries next to no signal, and is called dead.
DEAD_VARIANCE: Final = 1e-6


#: Normalised values further from 0 than this are far out; of a normal distribution, 2 in a thousand million are.
FAR_OUT: Final = 6.0


#: A channel is exploding where a larger share of its values is far out. Where mean and variance fit the data, it is at
#: most 1/36, whatever their distribution.
EXPLODING_SHARE: Final = 1e-3


#: A channel whose |γ| lies below this puts out next to nothing but β, and is called pruned.
PRUNED_GAMMA: Final = 1e-3


#: Where the bins of the histograms of |γ − 1| and |β| begin; each ends where the next begins, the last nowhere.
DRIFT_BINS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 2.0, 3.0, 5.0)


class GradientFactor(Value):
    """|γ|/√(rv + eps) over the channels of a layer, with which the gradient is multiplied on its way back."""

    lowest: float
    median: float
    mean: float
    highest: float


class LayerHealth(Value):
    """One layer; all but ``far_out`` and ``furthest`` count its channels.

    ``dead``: running variance below ``DEAD_VARIANCE``. ``silent``: variance of the inputs on these data below it.
    ``pruned``: |γ| below ``PRUNED_GAMMA``. ``exploding``: more than ``EXPLODING_SHARE`` of the values normalised in
    inference are further from 0 than ``FAR_OUT``, or no number; ``far_out`` is that share over all channels, and
    ``furthest`` the largest absolute value, None where one is infinite or no number. Where the running statistics are
    ``not_finite``, these but ``pruned`` are None; so is, in layers that get NaN from such a one, what is of the inputs.
    ``gamma_drift`` and ``beta_drift`` are histograms of |γ − 1| and |β| in ``DRIFT_BINS``, None for a layer that has no
    γ or no β, as is ``pruned``.
    """

    name: str
    channels: int
    dead: int | None
    silent: int | None
    pruned: int | None
    exploding: int | None
    far_out: float | None
    furthest: float | None
    gamma_drift: tuple[int, ...] | None
    beta_drift: tuple[int, ...] | None
    gradient_factor: GradientFactor | None
    not_finite: NotFinite = ""


class ChannelHealth(ProbeResult):
    """The health of each layer, in the order of the calls; ``left_out`` are matching layers that were not looked at."""

    kind: Literal["channel_health"] = "channel_health"
    layers: tuple[LayerHealth, ...]
    left_out: tuple[str, ...]

    def sections(self) -> tuple[Section, ...]:
        """The numbers as a table and a figure, and how to read them."""
        return (_section(self),)


class ProbeChannelHealth(Probe):
    """Count dead, pruned and exploding channels; describe γ, β and the gradient factor.

    Count channels that carry nothing or explode, and describe γ, β and the gradient factor, without labels.

    With rv a layer's running variance, and x̂ its input normalised as in inference, of the holdout half::

        dead: rv ≈ 0;  silent: variance of the inputs ≈ 0;  pruned: γ ≈ 0;  exploding: |x̂| > 6 too often
        gradient factor = γ/√(rv + eps);  histograms of |γ − 1| and |β|

    *Changes nothing when* always: it only looks.

    *Helps when* one wants to know which channels could be removed, which reach far beyond what their statistics say,
    and how far training moved γ and β from where they began.

    *Does not help when* one wants to know what a channel is worth to the accuracy: remove it, and measure.

    Cost: one pass over the holdout half.

    Limits: needs no labels. A channel that is silent on these data may speak on others. The gradient factor is that
    of the stored statistics; in training each batch has its own.

    Reference: Davis and Frank, Revisiting Batch Normalization, 2021, §3.2 and Eq. 20
    """

    needs_labels = False
    result = ChannelHealth

    kind: Literal["channel_health"] = "channel_health"
    sites: Sites = ("*",)

    @property
    def needs_logits(self) -> bool:
        """Never."""
        return False


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


def _section(result: ChannelHealth) -> Section:
    """The channels that carry nothing or explode, histograms of |γ − 1| and |β|, and the gradient factor by depth."""
    return Section(
        f"Channel health {subject(result.tuned)}",
        (_shows(result), _columns(result), *left_out_words(result.left_out, _LEFT_OUT)),
        Table(COLUMNS, tuple(_row(layer) for layer in result.layers)),
        _figure(result) if result.layers else None,
    )


def _shows(result: ChannelHealth) -> str:
    sound = [layer for layer in result.layers if not layer.not_finite]
    counts = {
        name: sum(getattr(layer, name) or 0 for layer in sound)
        for name in ("channels", "dead", "silent", "pruned", "exploding")
    }
    which = f"{'the other ' if len(sound) < len(result.layers) else ''}{fmt.counted(len(sound), 'layer')}"
    return (
        f"{not_finite_words(result.layers)}Of {fmt.counted(counts['channels'], 'channel')} in {which}, "
        f"{counts['dead']} are dead, {counts['silent']} silent, {counts['pruned']} pruned and {counts['exploding']} "
        "exploding."
    )


def _columns(result: ChannelHealth) -> str:
    return (
        f"On {fmt.counted(result.images, 'example')} of the holdout half, the network in evaluation mode. Dead: a "
        f"running variance below {DEAD_VARIANCE:.0e}; silent: variance of the inputs on these examples below that; "
        f"pruned: |γ| below {PRUNED_GAMMA:g}; exploding: more than {100 * EXPLODING_SHARE:g} % of the channel's values "
        f"x̂ = (x − mean)/√(variance + eps) beyond ±{FAR_OUT:g}, where a normal distribution has 0.0000002 %. The share "
        "beyond is over all values of the layer. γ/√(σ² + eps), the gradient factor: what the layer multiplies the "
        "gradient by, its absolute value's median over channels, in brackets the lowest and the highest."
    )


def _row(layer: LayerHealth) -> Row:
    counts = (layer.channels, layer.dead, layer.silent, layer.pruned, layer.exploding)
    cells = (
        *(Cell(ABSENT if number is None else fmt.count(number)) for number in counts),
        Cell(ABSENT if layer.far_out is None else f"{100 * layer.far_out:.2g}"),
        Cell(ABSENT if layer.furthest is None else f"{layer.furthest:.3g}"),
        _factor(layer.gradient_factor),
    )
    return Row(layer_label(layer.name), "", cells)


def _factor(factor: GradientFactor | None) -> Cell:
    if factor is None:
        return Cell(ABSENT)
    return Cell(f"{factor.median:.3g}", f"[{factor.lowest:.3g}, {factor.highest:.3g}]")


#: Lower gradient factors are drawn here: a logarithmic axis has no 0.
FLOOR = 1e-9


def _figure(result: ChannelHealth) -> Figure:
    """|γ|/√(σ² + eps) of each layer, median and band over channels; |γ − 1| and |β| of all channels, in fixed bins."""
    depth = range(1, len(result.layers) + 1)
    factors = [layer.gradient_factor for layer in result.layers]
    low, middle, high = (
        [nan if factor is None else max(getattr(factor, name), FLOOR) for factor in factors]
        for name in ("lowest", "median", "highest")
    )
    above = Panel(
        (
            Band(depth, low, high, "blue", "lowest to highest channel"),
            Line(depth, middle, "blue", "median channel", "o"),
        ),
        x_label="normalisation layer, in the order of the calls",
        y_label="|γ|/√(σ² + eps)",
        y_log=True,
        x_whole=True,
        narrow=True,
        legend="best",
    )
    gamma = _histogram([layer.gamma_drift for layer in result.layers], "orange", "|γ − 1|, from", "channels")
    beta = _histogram([layer.beta_drift for layer in result.layers], "green", "|β|, from", "")
    label = (
        f"Gradient factor of {len(result.layers)} normalisation layers over the depth of the network, and how far "
        "γ is from 1 and β from 0 over all their channels"
    )
    return Figure(label, ((above,), (gamma, beta)), 7.0, 5.6)


def _histogram(layers: list[tuple[int, ...] | None], color: Color, x_label: str, y_label: str) -> Panel:
    """The channels of all layers in ``DRIFT_BINS``: a bar each, all as wide, every other named by where it begins."""
    places = range(len(DRIFT_BINS))
    counts = [sum(layer[place] for layer in layers if layer is not None) for place in places]
    names = tuple((place, f"{DRIFT_BINS[place]:g}" if place % 2 == 0 else "") for place in places)
    bars = (Bars(places, counts, [1.0] * len(counts), color),)
    return Panel(bars, x_label=x_label, y_label=y_label, x_names=names, y_whole=True)
