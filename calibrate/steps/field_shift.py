"""The probe ``field_shift``: whether data have shifted from those that a network is known to suit."""

from typing import Literal

from calibrate.page import format as fmt
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.page.words import layer_label
from calibrate.steps.step import Probe, ProbeResult, TrainingDataUse
from calibrate.values import Value


class ShiftedLayer(Value):
    """How far the inputs of one layer are from those on the reference's data, in standard deviations."""

    name: str
    shift: float


class FieldShift(ProbeResult):
    """How far the data are from the ``reference``, data of so many examples, and what chance makes of it at most.

    ``shift`` is the mean over ``layers``, ``misfit`` of the first of them. The chance bands, ``shift_by_chance`` and
    ``misfit_by_chance``, are those of ``band_images`` examples. ``shifted`` says that a number has left its band.
    ``recipe`` is what to run then; None where the ``preprocessing`` is proven to be wrong, and what to give instead.
    ``prepared_otherwise`` says that the reference's data were prepared in another way. ``drawn_from`` is how many
    examples there are where the ``images`` are a draw of them.
    """

    kind: Literal["field_shift"] = "field_shift"
    reference: str
    reference_images: int
    band_images: int
    shift: float
    shift_by_chance: float
    misfit: float
    misfit_by_chance: float
    layers: tuple[ShiftedLayer, ...]
    shifted: bool
    recipe: str | None = None
    preprocessing: str | None = None
    prepared_otherwise: bool = False
    drawn_from: int | None = None

    def words(self) -> str:
        """What was found, and the next move where there is one."""
        numbers = (
            f"their estimation shift from the reference is {fmt.short(self.shift)}, by chance up to "
            f"{fmt.short(self.shift_by_chance)}, and their misfit {fmt.short(self.misfit)}, by chance up to "
            f"{fmt.short(self.misfit_by_chance)}"
        )
        data = fmt.counted(self.images, "example")
        if self.drawn_from is not None:
            there = fmt.counted(self.drawn_from, "example")
            data = f"{fmt.count(self.images)} of {there}, drawn as many as the reference has,"
        if not self.shifted:
            return f"{data} show no shift: {numbers}"
        furthest = max(self.layers, key=lambda layer: layer.shift).name
        return f"{data} have shifted: {numbers} (furthest {layer_label(furthest)}){self._otherwise()}. {self._next()}"

    def _otherwise(self) -> str:
        return "; they are prepared otherwise than the reference's data" if self.prepared_otherwise else ""

    def _next(self) -> str:
        if self.preprocessing is not None:
            return (
                "Labels prove that their preprocessing is not the one of the training: give --preprocessing "
                f"{self.preprocessing}"
            )
        return (
            f"See that they are what the network is for, then run `afternorm calibrate --recipe {self.recipe}` on them"
        )

    def sections(self) -> tuple[Section, ...]:
        """Both numbers beside their bands, and the layers that are furthest off."""
        rows = (
            _row("estimation shift, mean of the layers", self.shift, self.shift_by_chance),
            _row("misfit at the first layer", self.misfit, self.misfit_by_chance),
        )
        furthest = sorted(self.layers, key=lambda layer: -layer.shift)[:FURTHEST]
        return (
            Section(
                "Shift from the reference",
                (f"{self.words()}.", self._reading()),
                Table(COLUMNS, rows),
                points=tuple(f"{layer_label(layer.name)}: {fmt.short(layer.shift)}" for layer in furthest),
                tone="bad" if self.shifted else "good",
            ),
        )

    def _reading(self) -> str:
        return (
            f"Reference: {fmt.counted(self.reference_images, 'example')} of {fmt.printable(self.reference)}. By chance "
            f"at most: what {fmt.counted(self.band_images, 'example')} of the same kind stay below in 998 of 1,000 "
            "resamples of it. The points are the layers furthest off."
        )


#: So many layers are listed.
FURTHEST = 5
COLUMNS = ("found", "by chance at most")


def _row(label: str, found: float, by_chance: float) -> Row:
    return Row(label, "", (Cell(fmt.short(found), strong=found > by_chance), Cell(fmt.short(by_chance))))


class ProbeFieldShift(Probe):
    """Tell whether data have shifted from those that the network is known to suit.

    Compare the inputs of the layers with those on a reference: data that the network is known to suit, of which
    `afternorm calibrate` keeps what is needed beside the tuned file, or those that training data give.

    With m, s the mean and standard deviation of a layer's inputs on the data, m₀, s₀ those on the reference, each
    example counting the same, v = s² and C channels::

        shift = mean over layers of √(mean over C of ((m − m₀)² + (s − s₀)²)/(s₀² + eps))
        misfit = mean over C of ½(v/v₀ − 1 − ln(v/v₀) + (m − m₀)²/v₀), at the first layer

    The data have shifted where one of them is larger than in 998 of 1,000 resamples: so many examples of the reference,
    and for the reference as many as it has, each drawn with replacement. It is the estimation shift with the
    reference's statistics in place of the running ones: these may be off from the beginning, and hide a shift that
    goes the same way.

    *Changes nothing when* always: it only looks.

    *Helps when* a network is in use, and one wants to know when to calibrate anew: `afternorm probe --require no-shift`
    exits 6 then.

    *Does not help when* one wants to know whether the network is right less often: statistics may move without harm,
    and labels may change where no statistic moves.

    Cost: one pass over the data, at most as many examples as the reference has; with training data another over these.

    Limits: needs no labels, and 16 examples at least. Examples are taken for independent: pictures of one film are
    fewer than they seem. Other shares of the classes are a shift too. The network must be the one that the reference
    was made of.

    Reference: ours; estimation shift is from Huang et al., Delving into the Estimation Shift of Batch Normalization in
    a Network, CVPR 2022, Definition 2
    """

    needs_labels = False
    needs_reference = True
    result = FieldShift
    uses_training_data = ""

    kind: Literal["field_shift"] = "field_shift"

    @property
    def training_data(self) -> TrainingDataUse:
        """Used where given: they are the reference."""
        return "optional"

    @property
    def needs_logits(self) -> bool:
        """Never."""
        return False
