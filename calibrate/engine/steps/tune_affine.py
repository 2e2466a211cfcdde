"""The step ``tune_affine``: γ and β learned by gradient from few labels."""

from torch import nn

from calibrate.engine.handler import Given, Handler
from calibrate.engine.run import Run
from calibrate.engine.tuning.learning import learn_
from calibrate.engine.tuning.learning_checks import check_examples, check_precision, learning_passes
from calibrate.search import affine_tensors, learnable_affine
from calibrate.steps import TuneAffine, TunedAffine
from calibrate.surgery import share_weights


def tune_affine_(run: Run, step: TuneAffine) -> None:
    """Give the matching sites the γ and β that are learned from the calibration half, if they are convincing."""
    _check_network(step, run.state.model)
    check_examples(step, len(run.given.split.calibration))
    trial = share_weights(run.state.model)
    learn_(run, step, trial, learnable_affine(affine_tensors(trial, step.sites), step), TunedAffine)


def _check_network(step: TuneAffine, model: nn.Module) -> None:
    """Raise ModelError or UsageError where ``model`` has nothing for the step to learn, or not as it wants it."""
    affine_tensors(model, step.sites)
    check_precision(step, model)


class TuneAffineHandler(Handler[TuneAffine]):
    """Carries out TuneAffine."""

    def check_network(self, step: TuneAffine, model: nn.Module) -> None:
        """See :meth:`Handler.check_network`."""
        _check_network(step, model)

    def check_data(self, step: TuneAffine, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        check_examples(step, len(given.split.calibration))
        return model

    def expected_passes(self, step: TuneAffine) -> float:
        """See :meth:`Handler.expected_passes`."""
        return learning_passes(step)

    def run(self, run: Run, step: TuneAffine) -> None:
        """See :meth:`Handler.run`."""
        tune_affine_(run, step)
