"""The step ``learn_alpha``: an α for each site, or each of its channels, learned by gradient."""

from torch import nn

from calibrate.engine.handler import Given, Handler
from calibrate.engine.run import Run
from calibrate.engine.steps.set_alpha import sites_to_weigh_
from calibrate.engine.tuning.group_moments import estimate_group_moments_
from calibrate.engine.tuning.learning import learn_
from calibrate.engine.tuning.learning_checks import check_examples, check_precision, learning_passes
from calibrate.nn import ExampleWeighed
from calibrate.search import check_channels, learnable_alpha
from calibrate.steps import LearnAlpha, LearnedAlpha
from calibrate.surgery import find_sites, select, share_weights, weigh_examples_


def learn_alpha_(run: Run, step: LearnAlpha) -> None:
    """Give the matching sites the α's that are learned from the calibration half, if they are convincing."""
    _check_network(step, run.state.model)
    check_examples(step, len(run.given.split.calibration))
    trial = estimate_group_moments_(run, share_weights(run.state.model), step.sites)
    if not (sites := sites_to_weigh_(run, trial, step.sites)):
        return
    trial = weigh_examples_(trial, [site for site in sites if not isinstance(site.module, ExampleWeighed)], 0.0)
    sites = select(find_sites(trial), step.sites, run.given.look.positions)
    learn_(run, step, trial, learnable_alpha(sites, step), LearnedAlpha)


def _check_network(step: LearnAlpha, model: nn.Module) -> None:
    """Raise ModelError or UsageError where ``model`` has nothing for the step to learn, or not as it wants it."""
    check_channels(select(find_sites(model), step.sites), step)
    check_precision(step, model)


class LearnAlphaHandler(Handler[LearnAlpha]):
    """Carries out LearnAlpha."""

    def check_network(self, step: LearnAlpha, model: nn.Module) -> None:
        """See :meth:`Handler.check_network`."""
        _check_network(step, model)

    def check_data(self, step: LearnAlpha, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        check_examples(step, len(given.split.calibration))
        return model

    def expected_passes(self, step: LearnAlpha) -> float:
        """See :meth:`Handler.expected_passes`."""
        return learning_passes(step)

    def run(self, run: Run, step: LearnAlpha) -> None:
        """See :meth:`Handler.run`."""
        learn_alpha_(run, step)
