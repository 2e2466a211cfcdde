"""The step ``tune_affine``: γ and β learned by gradient from few labels."""

from calibrate.engine.run import Run
from calibrate.engine.tuning.learning import learn_
from calibrate.engine.tuning.learning_checks import check_examples, check_network
from calibrate.recipe import TuneAffine
from calibrate.search import affine_tensors, learnable_affine
from calibrate.surgery import share_weights


def tune_affine_(run: Run, step: TuneAffine) -> None:
    """Give the matching sites the γ and β that are learned from the calibration half, if they are convincing."""
    check_network(step, run.model)
    check_examples(step, len(run.split.calibration))
    trial = share_weights(run.model)
    learn_(run, step, trial, learnable_affine(affine_tensors(trial, step.sites), step))
