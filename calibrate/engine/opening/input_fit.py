"""Input fit: whether a network's inputs are prepared as it was trained with, which of the field's ways fits better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Held, Source, prepare_arrays, prepare_pixels
from calibrate.diagnose import (
    MAXIMA,
    FirstLayer,
    array_preparations,
    channel_moments,
    contrast,
    first_layer,
    image_preparations,
    misfit,
    undoing_map,
    unit_ranges,
)
from calibrate.engine.passes.batches import drawn
from calibrate.engine.passes.prediction import Setting, input_dtype, predict
from calibrate.preprocessing import InputMap, Preprocessing
from calibrate.result import Finding, Progress
from calibrate.search import fit_temperature, paired_gain
from calibrate.steps import DARK, InputFit, NotApplicable, PreparationFit, PreparationScores

#: How many examples are compared, of how many all preparations are tried, and how many labelled ones have to prove one.
EXAMPLES, TRIED, PROVING = 100, 16, 1000
#: Fewer are too few to tell, as are fewer labelled ones to prove anything.
LEAST_EXAMPLES, LEAST_LABELLED = 8, 20
#: All examples that are compared have at most so many bytes.
MEMORY = 64 << 20
#: A misfit below is no reason to look further; examples are few, so it is less sharp for fewer.
FITS = 0.1
#: So many times better must another preparation fit, where the images have their contrast, and where they have not.
TIMES, TIMES_WITHOUT_CONTRAST = 4.0, 15.0
#: Images whose values range over less than this share of 0 to 1 may have lost their contrast.
CONTRAST = 0.6
#: Stds of one size differ by less than this factor.
SAME_SIZE = 1.2
#: A preparation that fits worse than this is not the right one.
GOOD = 0.25
#: A misfit that no preparation of the field undoes is told from this size on, where a mean and std make it so many
#: times smaller.
ALONE, TIMES_ALONE = 0.5, 10.0
#: Misfits are told up to this size.
LARGEST = 1e9
#: Standard errors by which labelled examples must prefer another preparation.
MARGIN = 2.0

Preparation = Preprocessing | InputMap


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Examples of a source as they are stored, and how to make network input of them."""

    source: Source
    rows: NDArray[np.int64]
    raw: Tensor
    brightened: Mapping[int, float]
    setting: Setting
    dtype: torch.dtype

    def moved(self, given: Preparation) -> Tensor:
        """The examples with their channels first, where ``given`` says that they come last."""
        return self.raw.movedim(-1, 1) if isinstance(given, InputMap) and given.channels_last else self.raw

    def inputs(self, preparation: Preparation, step: int = 1) -> Tensor:
        """Network input (n, C, *) of every ``step``-th example."""
        raw = self.raw[::step]
        if isinstance(preparation, InputMap):
            made = prepare_arrays(raw, preparation)
        else:
            brighter = self.brightened.get(preparation.maximum or 0, 1.0)
            given = self.source.preprocessing
            turned = given is not None and given.transposed != preparation.transposed
            pixels = raw if brighter == 1 else (raw.to(torch.float32) * brighter).clamp_max(255)
            made = prepare_pixels(pixels.transpose(-2, -1) if turned else pixels, preparation)
        return made.to(self.setting.device, self.dtype)


def find_input_fit(
    model: nn.Module,
    source: Source,
    rows: NDArray[np.int64],
    setting: Setting,
    seed: int,
    *,
    training: Source | None = None,
    tuned: bool = False,
) -> InputFit | NotApplicable:
    """Compare the preparation of the examples ``rows`` with others, on some of them.

    Where there are labels, a better one must prove itself on them.
    Cost: see :class:`~calibrate.ProbeInputFit`.
    """
    if len(rows) < LEAST_EXAMPLES:
        return _not_applicable(f"{len(rows)} examples are too few to tell, {LEAST_EXAMPLES} at least are needed")
    compared = _held(source, rows, setting, input_dtype(model), seed)
    given = source.preprocessing or source.input_map or InputMap()
    first = first_layer(model, compared.inputs(given)[:2])
    if isinstance(first, str):
        return _not_applicable(first)
    used = _used(compared.raw) if source.preprocessing else None
    others = _others(compared, given, training)
    own = _fit(model, first, compared, "as given", given)
    step = max(1, len(compared.rows) // TRIED)
    setting.progress(Progress("input fit", 0, 1))
    tried = {name: misfit(model, first, [compared.inputs(item, step)]) for name, item in others.items()}
    by_fit = sorted(tried, key=lambda name: tried[name] * _penalty(others[name], given, compared))
    turned = [name for name in by_fit if _is_turned(others[name], given)]
    fits = [_fit(model, first, compared, name, others[name]) for name in dict.fromkeys((*by_fit[:5], *turned[:4]))]
    fits.sort(key=lambda item: item.misfit)
    found = InputFit(
        tuned=tuned,
        images=len(compared.rows),
        layer=first.name,
        channels=int(first.live.sum()),
        behind=first.behind,
        given=own,
        others=tuple(fits),
        misfits=False,
        contrast=_contrast(compared, given),
        used=used,
    )
    made = _judged(model, first, compared, found, {item.name: others[item.name] for item in fits}, given, rows)
    setting.progress(Progress("input fit", 1, 1))
    return made


def input_findings(fit: InputFit) -> tuple[Finding, ...]:
    """What the reader should know of it."""
    if not fit.misfits:
        return ()
    if fit.taken:
        return (Finding(code="preprocessing-taken", severity="info", message=fit.words()),)
    return (Finding(code="input-misfit", severity="warning", message=fit.words()),)


def preparation_of(fit: PreparationFit) -> Preparation:
    """The preparation that was compared, as a source applies it."""
    shape = fit.preprocessing
    if shape is None:
        return InputMap()
    return shape if shape.arrays is None else shape.arrays


def _held(source: Source, rows: NDArray[np.int64], setting: Setting, dtype: torch.dtype, seed: int) -> _Compared:
    (first,) = source.batches(rows[:1], 1)
    fitting = max(LEAST_EXAMPLES, MEMORY // max(1, first.inputs.nbytes))
    chosen = drawn(rows, min(EXAMPLES, fitting, len(rows)), seed)
    held = Held(source, chosen)
    for _ in held.batches(chosen, len(chosen)):
        pass  # raises where examples differ in shape
    raw = torch.stack(list(held.stored(chosen)))
    brightened = {}
    if source.preprocessing is not None and _used(raw) <= DARK:
        white = source.white(int(chosen[0])) if source.preprocessing.maximum is None else source.preprocessing.maximum
        brightest = (int(raw.amax()) - 0.5) * white / 255
        if (maximum := _maximum(brightest, white)) is not None:
            brightened = {maximum: white / maximum}
    return _Compared(source, chosen, raw, brightened, setting, dtype)


def _others(compared: _Compared, given: Preparation, training: Source | None) -> Mapping[str, Preparation]:
    source, raw = compared.source, compared.moved(given)
    known = None
    if training is not None and (training.preprocessing is None) == (source.preprocessing is None):
        rows = np.arange(len(training))[:: max(1, len(training) // EXAMPLES)]
        known = torch.stack(list(training.stored(rows)))
        known = known.movedim(-1, 1) if isinstance(given, InputMap) and given.channels_last else known
    if isinstance(given, Preprocessing):
        unit = raw.to(torch.float32) / 255
        return image_preparations(
            given,
            maximum=next(iter(compared.brightened), None),
            data=channel_moments(unit),
            training=None if known is None else channel_moments(known.to(torch.float32) / 255),
        )
    return array_preparations(
        given,
        tuple(raw.shape[1:]),
        *_ends(raw),
        data=channel_moments(raw),
        training=None if known is None else channel_moments(known),
    )


def _fit(
    model: nn.Module, first: FirstLayer, compared: _Compared, name: str, preparation: Preparation
) -> PreparationFit:
    return PreparationFit(
        name=name,
        misfit=min(misfit(model, first, [compared.inputs(preparation)]), LARGEST),
        preprocessing=_as_preprocessing(preparation),
    )


def _judged(
    model: nn.Module,
    first: FirstLayer,
    compared: _Compared,
    found: InputFit,
    preparations: Mapping[str, Preparation],
    given: Preparation,
    rows: NDArray[np.int64],
) -> InputFit:
    """Whether the given preparation is taken for wrong, and for which other."""
    own, times = found.given.misfit, TIMES if _clear(found) else TIMES_WITHOUT_CONTRAST

    def weight(name: str) -> float:
        return _misfit_of(found, name) * _penalty(preparations[name], given, compared)

    plausible = [
        item.name
        for item in found.others
        if own >= FITS + 3 / found.images and own >= times * item.misfit and item.misfit <= GOOD
    ]
    plausible.sort(key=weight)
    turned = [item.name for item in found.others if item.misfit < own and _is_turned(preparations[item.name], given)]
    proof = _Proof(model, compared, rows) if compared.source.labels is not None else None
    if proof is None or not proof.possible(given):
        if plausible:
            return found.model_copy(update={"misfits": True, "better": plausible[0]})
        return _alone(model, first, compared, found, given, None)
    few = _Proof(model, compared, compared.rows)
    promising = [name for name in turned if few.nll(preparations[name]) < few.nll(given)]
    promising.sort(key=lambda name: few.nll(preparations[name]))
    asked = dict.fromkeys((*plausible[:3], *promising[:3]))
    scored = {name: proof.scores(preparations[name]) for name in asked}
    proven = [name for name in asked if scored[name] is not None and proof.beats(preparations[name])]
    found = _with_scores(found, {"as given": proof.scores(given), **scored})
    if proven:
        best = proof.simplest({name: (preparations[name], weight(name)) for name in proven})
        return found.model_copy(update={"misfits": True, "better": best, "proven": True})
    found = found.model_copy(update={"proven": False} if asked else {})
    return _alone(model, first, compared, found, given, proof)


def _alone(
    model: nn.Module,
    first: FirstLayer,
    compared: _Compared,
    found: InputFit,
    given: Preparation,
    proof: "_Proof | None",
) -> InputFit:
    """The misfit alone, where no preparation of the field undoes it, and a mean and std would."""
    if found.given.misfit < ALONE or (found.contrast is not None and not _clear(found)):
        return found
    step = max(1, len(compared.rows) // TRIED)
    undoing = undoing_map(model, first, compared.inputs(given, step))
    preparation = None if undoing is None else _after(given, *(values.tolist() for values in undoing))
    if preparation is None:
        return found
    fit = _fit(model, first, compared, "what would undo it", preparation)
    times = TIMES_ALONE if _clear(found) or proof is not None else TIMES_WITHOUT_CONTRAST
    if fit.misfit > GOOD or found.given.misfit < times * fit.misfit:
        return found
    if proof is not None:
        scores = proof.scores(preparation)
        fit = fit.model_copy(update={"scores": scores})
        found = _with_scores(found, {"as given": proof.scores(given)})
        if scores is None or not proof.beats(preparation):
            return found
    proven = None if proof is None else True
    return found.model_copy(update={"misfits": True, "undoing": fit, "proven": proven})


@dataclass(eq=False)
class _Proof:
    """Labelled examples that score preparations, each with its own temperature."""

    model: nn.Module
    compared: _Compared
    rows: NDArray[np.int64]

    def __post_init__(self) -> None:
        source = self.compared.source
        assert source.labels is not None, "without labels nothing is proven"
        self._rows = drawn(self.rows, min(len(self.rows), PROVING), 0)
        self._labels = torch.from_numpy(source.labels[self._rows])
        self._given = source.preprocessing or source.input_map or InputMap()
        self._known: list[tuple[Preparation, tuple[float, Tensor] | None]] = []

    def possible(self, given: Preparation) -> bool:
        """Whether there are examples enough, and the network gives numbers for them."""
        return len(self._rows) >= LEAST_LABELLED and self._of(given) is not None

    def scores(self, preparation: Preparation) -> PreparationScores | None:
        """The scores in that preparation; None where the logits are not finite."""
        if (found := self._of(preparation)) is None:
            return None
        top1, nll = found
        return PreparationScores(n=len(self._rows), top1=top1, nll=float(nll.mean()))

    def nll(self, preparation: Preparation) -> float:
        """The mean cross-entropy after T."""
        found = self._of(preparation)
        return float("inf") if found is None else float(found[1].mean())

    def beats(self, preparation: Preparation) -> bool:
        """Whether the examples prefer it to the given one by more than ``MARGIN`` standard errors."""
        before, after = self._of(self._given), self._of(preparation)
        return before is not None and after is not None and paired_gain(before[1], after[1]).beats(MARGIN)

    def simplest(self, proven: Mapping[str, tuple[Preparation, float]]) -> str:
        """Of the ``proven`` preparations that no other beats by a standard error the one of least weight."""
        nll = {name: found[1] for name, (item, _) in proven.items() if (found := self._of(item)) is not None}
        best = min(nll, key=lambda name: float(nll[name].mean()))
        near = [name for name in nll if name == best or not paired_gain(nll[name], nll[best]).beats(1.0)]
        return min(near, key=lambda name: proven[name][1])

    def _of(self, preparation: Preparation) -> tuple[float, Tensor] | None:
        for item, found in self._known:
            if item == preparation:
                return found
        source = self.compared.source.prepared_by(preparation)
        logits = predict(self.model, source, self._rows, self.compared.setting, "input fit")
        found = None
        if logits.isfinite().all():
            found = float((logits.argmax(1) == self._labels).double().mean()), fit_temperature(logits, self._labels).nll
        self._known.append((preparation, found))
        return found


def _clear(found: InputFit) -> bool:
    """Whether the images have the contrast that images mostly have."""
    return found.contrast is not None and found.contrast >= CONTRAST


def _with_scores(found: InputFit, scores: Mapping[str, PreparationScores | None]) -> InputFit:
    def scored(item: PreparationFit) -> PreparationFit:
        return item.model_copy(update={"scores": scores[item.name]}) if item.name in scores else item

    others = tuple(scored(item) for item in found.others)
    return found.model_copy(update={"given": scored(found.given), "others": others})


def _misfit_of(found: InputFit, name: str) -> float:
    return next(item.misfit for item in found.others if item.name == name)


def _turns(preparation: Preparation, given: Preparation) -> tuple[bool, bool, bool]:
    """Whether, beside the given one, it reverses the channels, inverts the values, and exchanges rows and columns."""
    if isinstance(preparation, Preprocessing) and isinstance(given, Preprocessing):
        return (
            preparation.order != given.order,
            preparation.inverted != given.inverted,
            preparation.transposed != given.transposed,
        )
    assert isinstance(preparation, InputMap)
    assert isinstance(given, InputMap)
    return (
        preparation.reversed_channels != given.reversed_channels,
        (preparation.scale[0] < 0) != (given.scale[0] < 0),
        preparation.transposed != given.transposed,
    )


def _penalty(preparation: Preparation, given: Preparation, compared: _Compared) -> float:
    """How many times better a preparation must fit for each way in which it is farther from the given one.

    Examples turned round, each standardized; or dark images left dark.
    """
    penalty = 2.0 if preparation.by_example and not given.by_example else 1.0
    for turned, factor in zip(_turns(preparation, given), (1.5, 2.0, 1.5), strict=True):
        penalty *= factor if turned else 1.0
    if isinstance(preparation, Preprocessing) and compared.brightened:
        penalty *= 1.0 if preparation.maximum in compared.brightened else 3.0
    return penalty


def _is_turned(preparation: Preparation, given: Preparation) -> bool:
    """Whether it turns examples round, and leaves how large their values are: no contrast does that."""
    if not any(_turns(preparation, given)) or preparation.by_example != given.by_example:
        return False
    if isinstance(preparation, Preprocessing) and isinstance(given, Preprocessing):
        if preparation.maximum != given.maximum:
            return False
        sizes = zip(preparation.std, given.std, strict=True)
    else:
        assert isinstance(preparation, InputMap)
        assert isinstance(given, InputMap)
        sizes = zip(map(abs, preparation.scale), map(abs, given.scale), strict=False)
    return all(1 / SAME_SIZE < one / other < SAME_SIZE for one, other in sizes)


def _after(given: Preparation, scale: Sequence[float], shift: Sequence[float]) -> Preparation | None:
    """The preparation that maps network input once more; None where images would need a negative std."""
    if isinstance(given, InputMap):
        owns, owned = (values * len(scale) if len(values) == 1 else values for values in (given.scale, given.shift))
        return given.model_copy(
            update={
                "scale": tuple(a * b for a, b in zip(scale, owns, strict=True)),
                "shift": tuple(a * b + c for a, b, c in zip(scale, owned, shift, strict=True)),
            }
        )
    if any(a <= 0 for a in scale):
        return None
    mean = tuple(m - b * s / a for m, s, a, b in zip(given.mean, given.std, scale, shift, strict=True))
    return given.model_copy(update={"mean": mean, "std": tuple(s / a for s, a in zip(given.std, scale, strict=True))})


def _as_preprocessing(preparation: Preparation) -> Preprocessing | None:
    if isinstance(preparation, Preprocessing):
        return preparation.model_copy(update={"auto": False})
    return None if preparation == InputMap() else Preprocessing(arrays=preparation)


def _used(pixels: Tensor) -> float:
    """The largest pixel over the largest of 8 bits."""
    return float(pixels.amax()) / 255


def _ends(arrays: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The lowest and the highest value of each channel of ``arrays`` (n, C, *)."""
    by_channel = arrays.transpose(0, 1).flatten(1)
    return tuple(by_channel.amin(1).tolist()), tuple(by_channel.amax(1).tolist())


def _maximum(brightest: float, white: int) -> int | None:
    return next((value for value in MAXIMA if brightest <= value < white), None)


def _contrast(compared: _Compared, given: Preparation) -> float | None:
    """The range of values within an example, of 0 to 1, before mean and std; None where these are not known."""
    raw = compared.moved(given)
    if isinstance(given, Preprocessing):
        white = 255 * _used(raw) if compared.brightened else 255
        return contrast(raw / max(white, 1))
    ranges = unit_ranges(tuple(raw.shape[1:]), *_ends(raw))
    return max((contrast(prepare_arrays(raw, item)) for item in ranges), default=None)


def _not_applicable(reason: str) -> NotApplicable:
    return NotApplicable(tuned=False, images=0, probe="input_fit", reason=reason)
