"""The probing steps: what is looked at, on the holdout half, and what of it the reader should know."""

from collections.abc import Sequence

import numpy as np

from calibrate.diagnose import estimation_shift, input_shift, rank_correlation
from calibrate.engine.handler import Handler
from calibrate.engine.passes.batches import SourceBatches
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.page.words import not_finite_words
from calibrate.steps import EstimationShift, InputShift, LayerShift, ProbeEstimationShift
from calibrate.surgery import find_sites, keeping_statistics, matching

#: A layer whose running mean or deviation is further off, in root mean square over its channels, is worth a word.
NOTABLE_SHIFT = 0.5
#: ... if it is also so many times as far off as chance alone makes it.
TIMES_CHANCE = 3.0


def probe_estimation_shift_(run: Run, step: ProbeEstimationShift) -> None:
    """Note the estimation shift of the matching sites, and which of it is more than chance."""
    sites = keeping_statistics(matching(find_sites(run.state.model), step.sites))
    if not sites:
        run.not_applicable_(step, "none of the matching layers keeps running statistics of its input")
        return
    layers = estimation_shift(run.state.model, run.holdout_batches(), sites)
    run.add_outcome_(
        EstimationShift(
            tuned=run.state.changed,
            images=len(run.given.split.holdout),
            input=_input_shift(run),
            layers=layers,
            correlation_with_depth=_correlation_with_depth(layers),
        )
    )
    shifted = [found for layer in layers if (found := _shift_beyond_chance(layer)) is not None]
    if shifted:
        furthest, mean, deviation = max(shifted, key=lambda item: max(item[1:]))
        sound = sum(not layer.not_finite for layer in layers)
        which = f"the other {sound}" if sound < len(layers) else f"{sound}"
        run.add_finding_(
            "estimation-shift",
            f"{not_finite_words(layers)}the running statistics of {len(shifted)} of {which} layers are far from those "
            f"of these data, more than chance explains; furthest {furthest}, whose means are off by {mean:.2f} "
            f"standard deviations and whose deviations by {deviation:.2f}. Try the recipes alpha and adabn; only their "
            "measurement shows whether this harms.",
        )


def _correlation_with_depth(layers: Sequence[LayerShift]) -> float | None:
    """None where a layer has no shift: a trend over the others would be none over the depth."""
    shifts = [layer.deviation_in_deviations for layer in layers if layer.deviation_in_deviations is not None]
    return rank_correlation(shifts) if len(shifts) == len(layers) else None


def _input_shift(run: Run) -> InputShift | None:
    """How far the holdout half is from the training data, where these were given."""
    if run.given.training is None:
        return None
    dtype = input_dtype(run.state.model)
    training = SourceBatches(run.given.training, np.arange(len(run.given.training)), run.given.setting, dtype)
    return input_shift(training, SourceBatches(run.given.source, run.given.split.holdout, run.given.setting, dtype))


def _shift_beyond_chance(layer: LayerShift) -> tuple[str, float, float] | None:
    """The name and the two shifts of a layer, where one of them is notable and more than chance makes."""
    mean, deviation = layer.mean_in_deviations, layer.deviation_in_deviations
    if mean is None or deviation is None:
        return None
    pairs = ((mean, layer.mean_by_chance), (deviation, layer.deviation_by_chance))
    shifted = any(shift > max(NOTABLE_SHIFT, TIMES_CHANCE * (chance or 0)) for shift, chance in pairs)
    return (layer.name, mean, deviation) if shifted else None


class EstimationShiftHandler(Handler[ProbeEstimationShift]):
    """Carries out ProbeEstimationShift."""

    def run(self, run: Run, step: ProbeEstimationShift) -> None:
        """See :meth:`Handler.run`."""
        probe_estimation_shift_(run, step)
