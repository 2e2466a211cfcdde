"""The probing steps: what is looked at, on the holdout half, and what of it the reader should know."""

import numpy as np

from calibrate.diagnose import estimation_shift, input_shift, rank_correlation
from calibrate.engine.handler import Handler
from calibrate.engine.passes.batches import SourceBatches
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
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
            correlation_with_depth=rank_correlation([layer.deviation_in_deviations for layer in layers]),
        )
    )
    if shifted := [layer for layer in layers if _is_shifted(layer)]:
        furthest = max(shifted, key=lambda layer: max(layer.mean_in_deviations, layer.deviation_in_deviations))
        run.add_finding_(
            "estimation-shift",
            f"the running statistics of {len(shifted)} of {len(layers)} layers are far from those of these data, more "
            f"than chance explains; furthest {furthest.name}, whose means are off by "
            f"{furthest.mean_in_deviations:.2f} standard deviations and whose deviations by "
            f"{furthest.deviation_in_deviations:.2f}. Try the recipes alpha and adabn; only their measurement shows "
            "whether this harms.",
        )


def _input_shift(run: Run) -> InputShift | None:
    """How far the holdout half is from the training data, where these were given."""
    if run.given.training is None:
        return None
    dtype = input_dtype(run.state.model)
    training = SourceBatches(run.given.training, np.arange(len(run.given.training)), run.given.setting, dtype)
    return input_shift(training, SourceBatches(run.given.source, run.given.split.holdout, run.given.setting, dtype))


def _is_shifted(layer: LayerShift) -> bool:
    pairs = (
        (layer.mean_in_deviations, layer.mean_by_chance),
        (layer.deviation_in_deviations, layer.deviation_by_chance),
    )
    return any(shift > max(NOTABLE_SHIFT, TIMES_CHANCE * (chance or 0)) for shift, chance in pairs)


class EstimationShiftHandler(Handler[ProbeEstimationShift]):
    """Carries out ProbeEstimationShift."""

    def run(self, run: Run, step: ProbeEstimationShift) -> None:
        """See :meth:`Handler.run`."""
        probe_estimation_shift_(run, step)
