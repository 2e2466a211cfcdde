"""A trial for the steps that choose α: a copy of the network whose matching layers weigh examples by any α."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from calibrate.engine.run import Run
from calibrate.engine.steps.set_alpha import sites_to_weigh_, without_positions
from calibrate.engine.tuning.group_moments import estimate_group_moments_
from calibrate.nn import ExampleWeighed
from calibrate.steps import LabelFreeAlpha, SearchAlpha
from calibrate.surgery import find_sites, share_weights, weigh_examples_

#: α = 1 forgets the running statistics; where a site sees one position only, it then puts out a constant.
LARGEST_ALPHA_WITHOUT_POSITIONS = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class AlphaTrial:
    """The copy; ``trained`` is the α at which it computes as it was trained, and ``maximum`` how far to depart from it.

    ``as_trained`` says that no layer of the original network weighs examples.
    """

    model: nn.Module
    layers: Sequence[nn.Module]
    trained: float
    maximum: float
    as_trained: bool

    def weigh_(self, alpha: float) -> None:
        """Let the layers weigh examples by ``alpha``."""
        for layer in self.layers:
            layer.alpha = alpha  # type: ignore[assignment]


def alpha_trial(run: Run, step: SearchAlpha | LabelFreeAlpha) -> AlphaTrial | None:
    """The current network, its matching sites ready to be weighed, at the α at which they were trained.

    None where no input reaches one of them, which is noted.
    """
    model = estimate_group_moments_(run, share_weights(run.state.model), step.sites)
    if not (sites := sites_to_weigh_(run, model, step.sites)):
        return None
    maximum = step.maximum
    if maximum > LARGEST_ALPHA_WITHOUT_POSITIONS and (blind := without_positions(run, sites)):
        maximum = LARGEST_ALPHA_WITHOUT_POSITIONS
        run.add_finding_(
            "alpha-capped",
            f"α was searched up to {maximum} instead of {step.maximum:g}, because the layer {blind[0]} sees one "
            "position per channel and would put out a constant at α = 1.",
        )
    trained = 1.0 if sites[0].is_group_norm else 0.0
    as_trained = not any(isinstance(site.module, ExampleWeighed) for site in find_sites(run.state.model))
    model = weigh_examples_(model, sites, trained)
    return AlphaTrial(model, [model.get_submodule(site.name) for site in sites], trained, maximum, as_trained)


def settle_(run: Run, step: SearchAlpha | LabelFreeAlpha, trial: AlphaTrial, chosen: float, best: float) -> None:
    """Let the network weigh examples by the ``chosen`` α, and note a ``best`` one that lies at the end of the search.

    A network without α stays as it was where that is what was chosen.
    """
    if best == abs(trial.trained - trial.maximum) and trial.maximum < LARGEST_ALPHA_WITHOUT_POSITIONS:
        which = "smallest that was tried" if trial.trained else "largest that was tried"
        run.add_finding_(
            "alpha-at-maximum", f"the best α is the {which}, {best:g}; raise `maximum` in the step {step.kind}."
        )
    if chosen != trial.trained or not trial.as_trained:
        trial.weigh_(chosen)
        run.state.model = trial.model
    run.change_()
