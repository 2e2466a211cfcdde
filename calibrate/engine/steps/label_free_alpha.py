"""The step ``label_free_alpha``: one α for the matching sites, chosen by what needs no labels."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from calibrate.data import Augmented, Source
from calibrate.diagnose import REPAIR, estimation_shift, squared_distance
from calibrate.engine.handler import Given, Handler, weighed
from calibrate.engine.health import why_not_finite
from calibrate.engine.passes.batches import Indices, SourceBatches, drawn
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.engine.tuning.alpha_sites import AlphaTrial, alpha_trial, settle_
from calibrate.errors import ModelError
from calibrate.generators import numpy_generator
from calibrate.metrics import require_finite
from calibrate.search import TermsAt, agreement, entropy, probabilities, search_label_free, spread
from calibrate.steps import Criterion, LabelFreeAlpha, LayerShift
from calibrate.surgery import Site, find_sites, keeping_statistics, select

#: The estimation shift is measured on so many parts of the examples; how they differ is its uncertainty.
PARTS = 10


def label_free_alpha_(run: Run, step: LabelFreeAlpha) -> None:
    """Give the matching sites the α at which the step's criterion is lowest, if it is convincing."""
    if (trial := alpha_trial(run, step)) is None:
        return
    half = run.given.split.calibration
    indices = drawn(half, None if step.samples is None else min(step.samples, len(half)), run.given.seed)
    terms, views = CRITERIA[step.criterion]
    found = search_label_free(
        terms(run, trial, indices),
        step.model_copy(update={"maximum": trial.maximum}),
        n=len(indices),
        passes=views * len(indices) / len(half),
        seed=run.given.seed,
        trained_alpha=trial.trained,
    )
    run.add_outcome_(found)
    settle_(run, step, trial, found.chosen, found.best)


def _entropy(run: Run, trial: AlphaTrial, indices: Indices) -> TermsAt:
    return _of_predictions(run, trial, indices, [run.given.source], entropy)


def _agreement(run: Run, trial: AlphaTrial, indices: Indices) -> TermsAt:
    return _of_predictions(
        run, trial, indices, [run.given.source, Augmented(run.given.source, run.given.seed)], agreement
    )


def _of_predictions(
    run: Run, trial: AlphaTrial, indices: Indices, views: Sequence[Source], criterion: Callable[..., Tensor]
) -> TermsAt:
    """``criterion`` of the predictions for each of ``views``, whose logits first get the spread they had in training.

    Else entropy would reward a network that is merely surer, as cross-entropy rewards one that is merely less sure.
    """

    def logits_at(alpha: float) -> list[Tensor]:
        trial.weigh_(alpha)
        stage = f"label_free_alpha, α = {alpha:.4g} on {len(indices)} examples"
        return [run.side_by_side([trial.model], view, indices, stage)[0] for view in views]

    trained = logits_at(trial.trained)
    require_finite(trained[0])

    def terms_at(alpha: float) -> Tensor:
        logits = trained if alpha == trial.trained else logits_at(alpha)
        scale = spread(trained[0]) / (spread(logits[0]) or 1.0)
        return criterion(*(probabilities(one, scale) for one in logits))

    return terms_at


def _estimation_shift(run: Run, trial: AlphaTrial, indices: Indices) -> TermsAt:
    """The square of the last layer's shift in σ, of means and deviations, on each of ``PARTS`` parts of the examples.

    The shift of the layers before has come together there. Its inputs at α are those that the weighed network gives it.
    """

    def shift_of(sites: Sequence[Site], part: Indices) -> LayerShift:
        batches = SourceBatches(run.given.source, part, run.given.setting, input_dtype(trial.model))
        return estimation_shift(trial.model, batches, sites)[-1]

    keeping = keeping_statistics(find_sites(trial.model))
    last = shift_of(keeping, indices[:2])
    if last.not_finite:
        why = why_not_finite([trial.model], run.given.look)
        raise ModelError(
            f"the layer {last.name} has no estimation shift, for {why or 'its inputs are not finite'}. {REPAIR}"
        )
    sites = [site for site in keeping if site.name == last.name]
    shuffled = numpy_generator(run.given.seed).permutation(indices)
    parts = np.array_split(shuffled, max(1, min(PARTS, len(indices) // 2)))

    def terms_at(alpha: float) -> Tensor:
        trial.weigh_(alpha)
        run.notes.forwards += len(indices)
        shifts = [shift_of(sites, part) for part in parts]
        return torch.tensor([squared_distance(shift) for shift in shifts], dtype=torch.float64)

    return terms_at


#: What makes each criterion of the recipe, of which the lowest is best, and how often each example is seen for an α.
CRITERIA: Mapping[Criterion, tuple[Callable[[Run, AlphaTrial, Indices], TermsAt], int]] = {
    "entropy": (_entropy, 1),
    "agreement": (_agreement, 2),
    "estimation_shift": (_estimation_shift, 1),
}


class LabelFreeAlphaHandler(Handler[LabelFreeAlpha]):
    """Carries out LabelFreeAlpha."""

    def check_network(self, step: LabelFreeAlpha, model: nn.Module) -> None:
        """See :meth:`Handler.check_network`."""
        select(find_sites(model), step.sites)

    def check_data(self, step: LabelFreeAlpha, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        if step.criterion == "agreement":
            Augmented(given.source, given.seed)
        return weighed(model, step.sites, given.look)

    def expected_passes(self, step: LabelFreeAlpha) -> float:
        """See :meth:`Handler.expected_passes`."""
        return 20.0 if step.criterion == "agreement" else 10.0

    def run(self, run: Run, step: LabelFreeAlpha) -> None:
        """See :meth:`Handler.run`."""
        label_free_alpha_(run, step)
