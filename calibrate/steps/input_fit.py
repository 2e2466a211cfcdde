"""The probe ``input_fit``: whether inputs are prepared as the network's training inputs were."""

from typing import Literal

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.page.words import layer_label
from calibrate.preprocessing import Preprocessing
from calibrate.steps.step import Probe, ProbeResult, TrainingDataUse
from calibrate.values import Value


class PreparationScores(Value):
    """Top-1, and NLL after its own T, of ``n`` labelled examples in one preparation."""

    n: int
    top1: float
    nll: float


class PreparationFit(Value):
    """One preparation: its misfit in nats, 0 where inputs are as the first running statistics remember them.

    ``preprocessing`` is what makes it; None where arrays are taken as they are. ``scores`` are known of those that were
    tried on labelled examples.
    """

    name: str
    misfit: float
    preprocessing: Preprocessing | None
    scores: PreparationScores | None = None


class InputFit(ProbeResult):
    """How well the given preparation fits, and others that are usual, the best first.

    ``layer``: the first with running statistics that gets an input, ``behind`` so many layers with weights;
    ``channels`` of it are compared.
    ``misfits``: whether the given preparation is taken for wrong.
    ``better``: the name of the one that is taken for right; None where no usual one fits.
    ``proven``: whether labelled examples prefer it by more than two standard errors of NLL; None without labels.
    ``undoing``: what would undo the misfit, where no usual preparation does.
    ``contrast``: the range of values within an image, of 0 to 1; None for arrays of unknown range.
    ``used``: the largest pixel over the largest of its type; None for arrays.
    ``taken``: whether the run took ``better`` in place of the given one.
    """

    kind: Literal["input_fit"] = "input_fit"
    layer: str
    channels: int
    behind: int
    given: PreparationFit
    others: tuple[PreparationFit, ...]
    misfits: bool
    better: str | None = None
    proven: bool | None = None
    undoing: PreparationFit | None = None
    contrast: float | None = None
    used: float | None = None
    taken: bool = False

    @property
    def better_fit(self) -> PreparationFit | None:
        """The preparation that ``better`` names."""
        return next((item for item in self.others if item.name == self.better), None)

    @property
    def unsound(self) -> bool:
        """Whether the run's own inputs do not fit."""
        return self.misfits and not self.taken

    def words(self) -> str:
        """What was found, and the next move where there is one."""
        layer = f"{layer_label(self.layer)}, the first layer with running statistics"
        given = f"misfit {fmt.short(self.given.misfit)}, where 0 is perfect"
        if not self.misfits and self.given.misfit >= UNLIKE:
            return (
                f"The inputs are unlike what {layer}, saw in training ({given}), but no other preprocessing is shown "
                f"to be right: see whether the data are what the network was trained for.{self._weakness()}"
            )
        if not self.misfits:
            return f"The inputs fit {layer} ({given}).{self._weakness()}"
        if (better := self.better_fit) is None:
            return f"The inputs do not fit {layer} ({given}), nor would any usual preprocessing.{self._undone()}"
        name, other = fmt.printable(better.name), fmt.short(better.misfit)
        fits = f"The inputs {'did' if self.taken else 'do'} not fit {layer} ({given}; with {name} it is {other})."
        return fits + self._scored(better) + self._range() + self._next(better) + self._weakness()

    def _scored(self, better: PreparationFit) -> str:
        """What labelled examples say, or that there are none."""
        if better.scores is None or self.given.scores is None:
            return " The mean, std or value range of the preprocessing is wrong, or the images have lower contrast."
        said = (
            f" On {fmt.counted(better.scores.n, 'labelled example')} that has {_scores_words(better.scores)}, the "
            f"given preprocessing {_scores_words(self.given.scores)}"
        )
        if self.proven:
            return f"{said}: its mean, std, value range or order of channels is not what the network was trained with."
        return f"{said}, which are too few examples to prove it."

    def _range(self) -> str:
        if self.used is None or self.used > DARK:
            return ""
        return f" The largest pixel has {100 * self.used:.2g} % of the range of its type."

    def _next(self, better: PreparationFit) -> str:
        if self.taken:
            return " --preprocessing auto took it."
        if better.preprocessing is None:
            return " Give the arrays as they are."
        return f" Give --preprocessing '{better.preprocessing.short}', or --preprocessing auto, which takes it."

    def _undone(self) -> str:
        if self.undoing is None or self.undoing.preprocessing is None:
            return " Find out which mean, std and value range the network was trained with."
        shape = self.undoing.preprocessing
        if shape.arrays is not None:
            scale, shift = (", ".join(map(fmt.short, values)) for values in (shape.arrays.scale, shape.arrays.shift))
            made = f"a scale of ({scale}) and a shift of ({shift})"
        else:
            mean, std = (", ".join(map(fmt.short, values)) for values in (shape.mean, shape.std))
            made = f"a mean of ({mean}) and a std of ({std})"
        return (
            f" {made[:1].upper()}{made[1:]} would undo it (misfit {fmt.short(self.undoing.misfit)}): find out which "
            "mean, std and value range the preprocessing in training had; nothing was changed."
        )

    def _weakness(self) -> str:
        if self.behind <= 1:
            return ""
        return (
            f" The layer stands behind {self.behind} layers with weights, so that it tells less of how inputs are "
            "prepared."
        )

    def sections(self) -> tuple[Section, ...]:
        """What was found, and the misfit of each preprocessing."""
        rows = (self.given, *self.others, *((self.undoing,) if self.undoing else ()))
        return (
            Section(
                "Input fit",
                ("See the findings." if self.misfits and not self.tuned else self.words(), *self._reading()),
                Table(COLUMNS, tuple(_row(item, item.name == self.better) for item in rows)),
                tone="bad" if self.unsound else "",
            ),
        )

    def _reading(self) -> tuple[str, ...]:
        return (
            f"On {fmt.counted(self.images, 'example')}: over the {self.channels} channels of "
            f"{layer_label(self.layer)} that carry a signal, the mean of ½(v/rv − 1 − ln(v/rv) + (m − rm)²/rv) of the "
            "layer's inputs, which is 0 where their mean m and variance v are its running mean rm and variance rv. "
            "Scores are of labelled examples that nothing is reported on, each after its own T. *: taken for the right "
            "one, the most usual of those that fit and score about as well as the best.",
        )


def _scores_words(scores: PreparationScores) -> str:
    return f"a top-1 of {fmt.score('top1', scores.top1)} % and an NLL of {fmt.score('nll', scores.nll)} after T"


#: Inputs of at least this misfit do not fit, whatever the preparation has to do with it.
UNLIKE = 0.5
#: Images whose largest pixel has at most this share of the range of their type are dark: 14 of 16 bits have 0.25.
DARK = 0.27

COLUMNS = ("misfit", "top-1 %", "NLL after T", "examples")


def _row(item: PreparationFit, strong: bool) -> Row:
    scores = item.scores
    cells = (
        Cell(fmt.short(item.misfit), strong=strong),
        Cell(ABSENT if scores is None else fmt.score("top1", scores.top1)),
        Cell(ABSENT if scores is None else fmt.score("nll", scores.nll)),
        Cell(ABSENT if scores is None else fmt.count(scores.n)),
    )
    return Row(fmt.printable(item.name), "", cells)


class ProbeInputFit(Probe):
    """Check whether inputs are prepared as in training.

    Compare the inputs with what the first running statistics remember of training, and other preparations with them.

    With rm, rv the running mean and variance of the first BatchNorm layer that an input reaches, and m, v the mean and
    biased variance of its inputs over about 100 examples::

        misfit = mean over channels of ½(v/rv − 1 − ln(v/rv) + (m − rm)²/rv)

    *Changes nothing when* always: it only looks.

    *Helps when* mean and std, value range, order of channels or bit depth may not be those of the training.

    *Does not help when* the data differ from the training data in contrast or brightness: that looks the same.

    Cost: about 100 examples through what stands before the first BatchNorm layer, for each preparation that is tried;
    two passes and more over the examples where one seems better and there are labels.

    Limits: needs no labels; with labels, a better preparation must prove itself on them. Behind several layers with
    weights it tells less. A network whose first statistics were re-estimated fits the data these came from.

    Reference: ours; the divergence is Kullback and Leibler's, of normal distributions
    """

    needs_labels = False
    result = InputFit
    uses_training_data = ""

    kind: Literal["input_fit"] = "input_fit"

    @property
    def training_data(self) -> TrainingDataUse:
        """Used where given: their mean and std are among what is tried."""
        return "optional"

    @property
    def needs_logits(self) -> bool:
        """Never."""
        return False
