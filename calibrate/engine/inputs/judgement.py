"""The judgement: whether the given preparation is taken for wrong, and for which other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from calibrate.diagnose import OF_DATA, FirstLayer, undoing_map
from calibrate.engine.inputs.proof import MARGIN, Proof
from calibrate.engine.inputs.stored_examples import Preparation, StoredExamples, fit_of
from calibrate.steps import InputFit, PreparationFit, PreparationScores

# Numbers in the comments are of right preparations: EfficientNet-lite0, ResNet-20 and -56 on images as they are and
# corrupted C-style at severity 1 to 3 (171 sets), and networks that ``tests.benchmarks.input_fit`` trains.

#: A misfit below is no reason to look further, without labels and with them; it is less sharp for fewer examples.
FITS, FITS_LABELLED = 0.07, 0.02
#: So many times better must another preparation fit, where the images have their contrast, and where they have not. No
#: other fitted better by more than 3.7 (snow on ResNet-20) and by more than 20 (frost on digits).
TIMES, TIMES_WITHOUT_CONTRAST = 4.0, 25.0
#: Images whose values range over less than this share of 0 to 1 may have lost their contrast: CIFAR-10's have 0.80
#: to 0.84 as they are, ImageNet's 0.86 to 0.90.
CONTRAST = 0.75
#: The data's own moments always fit: they are asked from this misfit on, or where images fill their range so well that
#: neither contrast nor brightness is lost.
OWN_MOMENTS, FILLED = 1.0, 0.95
#: Misfits within this factor are about the same: R20's right one is 2.4 times that with CIFAR-10's smaller std.
ABOUT = 3.0
#: Stds of one size differ by less than this factor, as those of the usual pairs for color images do.
SAME_SIZE = 1.2
#: A preparation that fits worse than this is not the right one.
GOOD = 0.25
#: A misfit that no usual preparation undoes is told from this size on, where a mean and std make it so many times
#: smaller.
ALONE, TIMES_ALONE = 0.5, 10.0
#: So many times better must a preparation fit that reverses channels, inverts, or exchanges rows and columns: images
#: turned so have nearly the same moments.
TURNED = (1.5, 2.0, 1.5)
#: Where one that turns examples round fits so many times better, fewer standard errors prove it: EfficientNet-lite2 on
#: inverted images loses 4.4 points ± 1.0 (n = 500), and labels preferred the right one by less than two.
TIMES_TURNED, MARGIN_TURNED = 3.0, 1.0
#: And one that leaves dark images dark, where another makes them as bright as they can be.
LEFT_DARK = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What a judgement rests on: the network, the examples, how they were given, and all preparations by name."""

    model: nn.Module
    first: FirstLayer
    examples: StoredExamples
    given: Preparation
    preparations: Mapping[str, Preparation]
    rows: NDArray[np.int64]

    def judged(self, found: InputFit) -> InputFit:
        """``found`` with the judgement. Labelled examples are asked only where another preparation may be right."""
        own = found.given.misfit
        plausible = [item.name for item in found.others if self._is_plausible(found, item)]
        names = sorted(plausible, key=lambda name: self.penalized_misfit(found, name))
        least = min(own, GOOD)
        fitting = [item.name for item in found.others if item.misfit < least]
        turned = [name for name in fitting if is_turned(self.preparations[name], self.given)]
        if not names and not turned and own < ALONE:
            return found
        few = self._proof(self.examples.rows)
        if few is None:
            if names and own >= FITS + 3 / found.images:
                return found.model_copy(update={"misfits": True, "better": self._likeliest(found, names)})
            return self._without_candidate(found, None)
        turned = [name for name in turned if few.nll(self.preparations[name]) < few.nll(self.given)]
        turned.sort(key=lambda name: few.nll(self.preparations[name]))
        return self._proven(found, [*dict.fromkeys((*names[:3], *turned[:3]))])

    def _is_plausible(self, found: InputFit, item: PreparationFit) -> bool:
        """Whether it fits so much better that it may be the right one."""
        own = found.given.misfit
        if own < FITS_LABELLED + 3 / found.images or item.misfit > GOOD:
            return False
        if item.name in OF_DATA and own < OWN_MOMENTS and (found.contrast or 0) < FILLED:
            return False
        times = TIMES if _clear(found) else TIMES_WITHOUT_CONTRAST
        return own >= times * self.penalized_misfit(found, item.name)

    def _proven(self, found: InputFit, asked: Sequence[str]) -> InputFit:
        """The judgement of labelled examples on the preparations ``asked``."""
        proof = Proof(self.model, self.examples, self.rows)
        if not asked:
            return self._without_candidate(found, proof)
        scores = {name: proof.scores(self.preparations[name]) for name in asked}
        found = _with_scores(found, {"as given": proof.scores(self.given), **scores})
        if proven := [name for name in asked if proof.beats(self.preparations[name], self._margin(found, name))]:
            near = proof.as_good_as_any({name: self.preparations[name] for name in proven})
            return found.model_copy(update={"misfits": True, "better": self._likeliest(found, near), "proven": True})
        found = found.model_copy(update={"proven": False})
        if found.given.misfit >= FITS + 3 / found.images and (
            leaning := [name for name in asked if self._leans(found, name, proof)]
        ):
            return found.model_copy(update={"misfits": True, "better": self._likeliest(found, leaning)})
        return self._without_candidate(found, proof)

    def _margin(self, found: InputFit, name: str) -> float:
        """By how many standard errors labelled examples must prefer it."""
        misfit = next(item.misfit for item in found.others if item.name == name)
        turned = is_turned(self.preparations[name], self.given)
        return MARGIN_TURNED if turned and found.given.misfit >= TIMES_TURNED * misfit else MARGIN

    def _leans(self, found: InputFit, name: str, proof: Proof) -> bool:
        """Whether it fits clearly better, and the labelled examples, too few to prove it, prefer it all the same."""
        item = next(item for item in found.others if item.name == name)
        return self._is_plausible(found, item) and proof.nll(self.preparations[name]) < proof.nll(self.given)

    def _without_candidate(self, found: InputFit, proof: Proof | None) -> InputFit:
        """The misfit alone, where no usual preparation undoes it, and a mean and std would."""
        if found.given.misfit < ALONE or (found.contrast is not None and not _clear(found)):
            return found
        undoing = undoing_map(self.model, self.first, self.examples.few_inputs(self.given))
        preparation = None if undoing is None else self.given.followed_by(*(values.tolist() for values in undoing))
        if preparation is None:
            return found
        fit = fit_of(self.model, self.first, self.examples, "what would undo it", preparation)
        times = TIMES_ALONE if _clear(found) or proof is not None else TIMES_WITHOUT_CONTRAST
        if fit.misfit > GOOD or found.given.misfit < times * fit.misfit:
            return found
        if proof is None:
            return found.model_copy(update={"misfits": True, "undoing": fit})
        found = _with_scores(found, {"as given": proof.scores(self.given)})
        if not proof.beats(preparation):
            return found
        fit = fit.model_copy(update={"scores": proof.scores(preparation)})
        return found.model_copy(update={"misfits": True, "undoing": fit, "proven": True})

    def _likeliest(self, found: InputFit, names: Sequence[str]) -> str:
        """Of ``names`` that fit about as well as the best of them, the most usual one."""
        best = min(self.penalized_misfit(found, name) for name in names)
        usual = [*self.preparations]
        near = [name for name in names if self.penalized_misfit(found, name) <= ABOUT * best]
        return min(near, key=usual.index)

    def _proof(self, rows: NDArray[np.int64]) -> Proof | None:
        """Labelled examples that can prove something; None where there are none, or the network gives no numbers."""
        if self.examples.source.labels is None:
            return None
        proof = Proof(self.model, self.examples, rows)
        return proof if proof.can_prove(self.given) else None

    def penalized_misfit(self, found: InputFit, name: str) -> float:
        """The misfit of a preparation, and more the farther it is from the given one."""
        misfit = next(item.misfit for item in found.others if item.name == name)
        return misfit * penalty(self.preparations[name], self.given, self.examples)


def _with_scores(found: InputFit, scores: Mapping[str, PreparationScores | None]) -> InputFit:
    def scored(item: PreparationFit) -> PreparationFit:
        return item.model_copy(update={"scores": scores[item.name]}) if item.name in scores else item

    others = tuple(scored(item) for item in found.others)
    return found.model_copy(update={"given": scored(found.given), "others": others})


def _clear(found: InputFit) -> bool:
    """Whether the images have the contrast that images mostly have."""
    return found.contrast is not None and found.contrast >= CONTRAST


def _turned(preparation: Preparation, given: Preparation) -> tuple[bool, bool, bool]:
    """Whether, beside the given one, it reverses the channels, inverts the values, and exchanges rows and columns."""
    channels, values, axes = (one != other for one, other in zip(preparation.turns, given.turns, strict=True))
    return channels, values, axes


def penalty(preparation: Preparation, given: Preparation, examples: StoredExamples) -> float:
    """How many times better a preparation must fit that changes more of the examples than their mean and std."""
    factor = 2.0 if preparation.by_example and not given.by_example else 1.0
    for turned, times in zip(_turned(preparation, given), TURNED, strict=True):
        factor *= times if turned else 1.0
    if examples.brightened and preparation.maximum not in examples.brightened:
        factor *= LEFT_DARK
    return factor


def is_turned(preparation: Preparation, given: Preparation) -> bool:
    """Whether it turns examples round, and leaves how large their values are: no contrast does that."""
    if not any(_turned(preparation, given)) or preparation.by_example != given.by_example:
        return False
    if preparation.maximum != given.maximum:
        return False
    sizes = zip(preparation.sizes, given.sizes, strict=False)  # one factor of a map may be that of all channels
    return all(1 / SAME_SIZE < one / other < SAME_SIZE for one, other in sizes)
