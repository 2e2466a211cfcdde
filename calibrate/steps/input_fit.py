"""The probe ``input_fit``: whether inputs are prepared as the network's training inputs were."""

import json
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
    """How well the given preparation fits, and others of the field, the best first.

    ``layer`` is the first with running statistics that an input reaches, ``behind`` so many layers with weights;
    ``channels`` of it are compared. ``better`` names the preparation that fits so much better that the given one is
    taken for wrong, which is ``proven`` where labelled examples gain from it more than two standard errors of NLL; None
    without labels. ``misfits`` says that the given one is taken for wrong, also where none of the field is better;
    ``undoing`` then is the preparation that would undo it. ``contrast`` is the range of values within an image, of 0
    to 1, and ``used`` the largest pixel over the largest of its type; None for arrays of unknown range. ``taken`` says
    that the run took ``better`` in place of the given one.
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
        """What was found, in one sentence; the next move where there is one."""
        where = f"{layer_label(self.layer)}, the first layer with running statistics"
        given = f"misfit {fmt.short(self.given.misfit)}"
        if not self.misfits:
            return f"The inputs fit {where}, as far as can be told ({given}).{self._weakness()}"
        better = self.better_fit
        does = "did" if self.taken else "do"
        if better is None:
            return f"The inputs do not fit {where} ({given}), and no preparation of the field does.{self._undone()}"
        name = fmt.printable(better.name)
        text = f"The inputs {does} not fit {where} ({given}; prepared by {name}: {fmt.short(better.misfit)})."
        if better.scores is not None and self.given.scores is not None and self.proven:
            text += (
                f" On {fmt.counted(better.scores.n, 'labelled example')} that has {_scores_words(better.scores)}, the "
                f"given preprocessing {_scores_words(self.given.scores)}: its mean, std, value range or order of "
                "channels is not what the network was trained with."
            )
        else:
            text += " The mean, std or value range of the preprocessing is wrong, or the images have lower contrast."
        return text + self._range() + self._next(better) + self._weakness()

    def _range(self) -> str:
        if self.used is None or self.used > DARK:
            return ""
        return f" The largest pixel has {100 * self.used:.2g} % of the range of its type."

    def _next(self, better: PreparationFit) -> str:
        if self.taken:
            return " --preprocessing auto took it."
        if better.preprocessing is None:
            return " Give the arrays as they are."
        shape = better.preprocessing
        changed = shape.model_dump(mode="json", exclude_defaults=True)
        if shape.arrays is None:
            changed |= {"mean": shape.mean, "std": shape.std}
        return f" Give --preprocessing '{json.dumps(changed)}', or --preprocessing auto, which takes it."

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
        """What was found, and the misfit of each preparation."""
        rows = (self.given, *self.others, *((self.undoing,) if self.undoing else ()))
        return (
            Section(
                "Input fit",
                (self.words(), *self._reading()),
                Table(COLUMNS, tuple(_row(item, item.name == self.better) for item in rows)),
                tone="bad" if self.unsound else "",
            ),
        )

    def _reading(self) -> tuple[str, ...]:
        return (
            f"On {fmt.counted(self.images, 'example')}: over the {self.channels} channels of "
            f"{layer_label(self.layer)} that carry a signal, the mean of ½(v/rv − 1 − ln(v/rv) + (m − rm)²/rv) of the "
            "layer's inputs, which is 0 where their mean m and variance v are its running mean rm and variance rv. "
            "Scores are of labelled examples that nothing is reported on, each after its own T.",
        )


def _scores_words(scores: PreparationScores) -> str:
    return f"a top-1 of {fmt.score('top1', scores.top1)} % and an NLL of {fmt.score('nll', scores.nll)} after T"


#: Images whose largest pixel has at most this share of the range of their type are dark.
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

    kind: Literal["input_fit"] = "input_fit"

    @property
    def training_data(self) -> TrainingDataUse:
        """Used where given: their mean and std are among what is tried."""
        return "optional"
