"""The probe ``output_bound``: outputs in inference beyond what training can have shown."""

from dataclasses import replace
from math import nan
from typing import Annotated, Literal

from pydantic import Field

from calibrate.page import format as fmt
from calibrate.page.figure import Figure, Line, Panel
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.page.words import NotFinite, layer_label, left_out_words, not_finite_words, subject
from calibrate.steps.step import Probe, ProbeResult, Sites
from calibrate.values import NUMBER, Value

#: The lowest and the highest value; None where there was none, or one was infinite or no number.
Span = tuple[float, float] | None


class LayerBound(Value):
    """One layer before γ and β, which take a normalised x̂ to γx̂ + β.

    In training |x̂| ≤ ``bound`` = √(M − 1) with M = ``elements`` in a statistic: the examples of a training batch times
    the fewest positions of a call. ``training`` and ``inference`` are the x̂ seen. In inference, ``outside`` is the
    share of values outside the bound, and ``channels_outside`` counts the channels that had any; both are None where
    the running statistics are ``not_finite``, of this layer or of one before it; what is no number counts as outside
    else. The bound of training batches of ``sufficient_batch`` examples, or more, holds all that was seen in inference.
    """

    name: str
    channels: int
    elements: int
    bound: float
    training: Span
    inference: Span
    outside: float | None
    channels_outside: int | None
    sufficient_batch: int | None
    not_finite: NotFinite = ""


class OutputBound(ProbeResult):
    """The bound of each layer, in the order of the calls; ``left_out`` are matching layers that have none.

    ``training_images`` went through the network in whole batches of ``train_batch_size``; there may be none.
    """

    kind: Literal["output_bound"] = "output_bound"
    train_batch_size: int
    training_images: int
    layers: tuple[LayerBound, ...]
    left_out: tuple[str, ...]

    def sections(self) -> tuple[Section, ...]:
        """The numbers as a table and a figure, and how to read them."""
        return (_section(self),)


class ProbeOutputBound(Probe):
    """Compare outputs in inference with the bound that they have in training.

    Compare what the matching BatchNorm layers put out in inference with what they can put out in training.

    Training batches are drawn at random from the holdout half, and normalised by their own statistics. Needs no labels.

    With M the elements in a statistic of a training batch, ``train_batch_size`` times the layer's positions, and x̂ =
    (x − mean)/√(variance + eps), normalised by the batch in training and by running statistics in inference::

        in training |x̂| ≤ √(M − 1), so the output γx̂ + β lies in β ± |γ|√(M − 1); in inference nothing bounds it

    *Changes nothing when* always: it only looks.

    *Helps when* the network was trained with small batches, or late layers have few positions: then the later layers
    may meet outputs that training cannot have shown them.

    *Does not help when* M is in the thousands: the bound is then far beyond what any layer puts out.

    Cost: two passes over the holdout half, one as in inference and one as in training, in batches of
    ``train_batch_size``.

    Limits: needs no labels, but the batch size of the training. The range seen in training is that of whole batches
    of the holdout half, without augmentation. Frozen layers, those with a training rule of their own and those
    without running statistics are left out.

    Reference: Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, Eq. 2
    and appendices A and B
    """

    needs_labels = False
    result = OutputBound

    kind: Literal["output_bound"] = "output_bound"
    train_batch_size: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="examples in a training batch: a device's, or all with SyncBatchNorm"),
        NUMBER,
    ] = 128
    sites: Sites = ("*",)

    @property
    def needs_logits(self) -> bool:
        """Never."""
        return False


COLUMNS = ("M", "√(M − 1)", "in training", "in inference", "outside %", "channels with any", "batch that suffices")
_LEFT_OUT = (
    "frozen, without running statistics, with a training rule of its own, no batch normalisation, or never called"
)


def _section(result: OutputBound) -> Section:
    """The bound and the ranges by depth, and the share outside."""
    return Section(
        f"Output bound {subject(result.tuned)}",
        (_shows(result), _columns(result), *left_out_words(result.left_out, _LEFT_OUT)),
        Table(COLUMNS, tuple(_row(layer) for layer in result.layers)),
        _figure(result) if result.layers else None,
    )


def _shows(result: OutputBound) -> str:
    sound = [layer for layer in result.layers if not layer.not_finite]
    outside = [layer for layer in sound if layer.outside]
    first, other = not_finite_words(result.layers), "other " if len(sound) < len(result.layers) else ""
    if not outside:
        return (
            f"{first}In inference no {other}layer puts out anything outside the bound of training batches of "
            f"{result.train_batch_size}."
        )
    worst = max(outside, key=lambda layer: layer.outside or 0)
    which = f"{'the other ' if other else ''}{fmt.counted(len(sound), 'layer')}"
    return (
        f"{first}In inference {len(outside)} of {which} put out values that no training "
        f"batch of {result.train_batch_size} can give, most of them {layer_label(worst.name)}: {_per_cent(worst)} % of "
        f"its values lie outside ±{worst.bound:.3g}, in {worst.channels_outside} of "
        f"{fmt.counted(worst.channels, 'channel')}."
    )


def _columns(result: OutputBound) -> str:
    training = (
        f"In training: the lowest and highest x̂ with {fmt.counted(result.training_images, 'example')} in whole batches "
        f"of {result.train_batch_size}, drawn at random, each normalised by its own statistics"
        if result.training_images
        else f"In training: absent, as the holdout half holds no whole batch of {result.train_batch_size}"
    )
    return (
        f"On {fmt.counted(result.images, 'example')} of the holdout half. All numbers are of x̂, before γ and β make "
        "γx̂ + β of it. M: elements in a statistic, the training batch times the layer's positions; |x̂| is at most "
        f"√(M − 1) where x̂ is normalised by these M. {training}. In inference: the same with running statistics; "
        "outside: the share of values beyond the bound. Batch that suffices: the training batch from which on none "
        "would be. The pass as in training knows no augmentation."
    )


def _row(layer: LayerBound) -> Row:
    cells = (
        fmt.count(layer.elements),
        f"{layer.bound:.3g}",
        *(ABSENT if span is None else f"{span[0]:.3g} to {span[1]:.3g}" for span in (layer.training, layer.inference)),
        _per_cent(layer),
        ABSENT
        if layer.channels_outside is None
        else f"{fmt.count(layer.channels_outside)} of {fmt.count(layer.channels)}",
        ABSENT if layer.sufficient_batch is None else fmt.count(layer.sufficient_batch),
    )
    return Row(layer_label(layer.name), "", tuple(map(Cell, cells)))


def _per_cent(layer: LayerBound) -> str:
    return ABSENT if layer.outside is None else f"{100 * layer.outside:.2g}"


def _figure(result: OutputBound) -> Figure:
    """The bound, and the largest |x̂| in training and in inference, on a logarithmic axis.

    Below, where there is any, the share that is outside in inference.
    """
    depth = range(1, len(result.layers) + 1)
    bounds = [layer.bound or nan for layer in result.layers]
    inference = [_farthest(layer.inference) for layer in result.layers]
    training = [_farthest(layer.training) for layer in result.layers]
    shares = [nan if layer.outside is None else 100 * layer.outside for layer in result.layers]
    ends = (
        Line(depth, bounds, "black", "bound in training, √(M − 1)", "_", "--", steps=True, size=6),
        Line(depth, inference, "orange", "in inference", "s"),
        Line(depth, training, "blue", "in training", "o"),
    )
    deepest = "normalisation layer, in the order of the calls"
    above = Panel(ends, y_label="largest |x̂|", y_log=True, narrow=True, x_whole=True, legend="best")
    label = (
        f"Bound of the normalised output of {len(result.layers)} layers in training with batches of "
        f"{result.train_batch_size}, and the largest output seen in training and in inference"
    )
    if not any(layer.outside for layer in result.layers):
        return Figure(label, ((replace(above, x_label=deepest),),), 7.0, 3.3)
    outside = (Line(depth, shares, "orange", marker="s"),)
    below = Panel(outside, x_label=deepest, y_label="outside (%)", y_from=0, narrow=True, x_whole=True)
    return Figure(label, ((above,), (below,)), 7.0, 5.0, (3, 2), share_x=True)


def _farthest(span: tuple[float, float] | None) -> float:
    """The largest absolute value; a gap in the line where there is none, or 0, which a logarithmic axis has not."""
    return nan if span is None else max(-span[0], span[1]) or nan
