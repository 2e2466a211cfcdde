"""Training data: examples of what the network was trained on, for the steps that use them."""

import numpy as np
from torch import Tensor

from calibrate.data import TRAINING, DataLike, Source, open_data
from calibrate.errors import DataError, UsageError
from calibrate.recipe import Preprocessing, Recipe, words_of_training_data_use


def open_training(training: DataLike | None, recipe: Recipe, preprocessing: Preprocessing | None) -> Source | None:
    """The training data, where they are given and ``recipe`` has a use for them.

    Raises UsageError where a step wants data that were not given, or none wants those that were.
    """
    uses = {step.training_data for step in recipe.steps}
    if training is None:
        if "required" in uses:
            kind = next(step.kind for step in recipe.steps if step.training_data == "required")
            raise UsageError(
                f"the step {kind} has `on: training`, and no training data were given; pass them with "
                "--training-data (from Python with `training`), or give `on: calibration`."
            )
        return None
    if uses == {"unused"}:
        raise UsageError(
            "training data were given, and no step of the recipe uses them; leave --training-data out, or add a step: "
            f"{words_of_training_data_use()}."
        )
    return open_data(training, preprocessing=preprocessing, usual=TRAINING)


def check_inputs(training: Source, wanted: Tensor) -> None:
    """Refuse training data that are not input of the size that the network gets from the data, ``wanted`` (n, C, *)."""
    (first,) = training.batches(np.zeros(1, dtype=np.int64), 1)
    if first.inputs.shape[1:] != wanted.shape[1:]:
        raise DataError(
            f"{training.entry(0)}, of the training data, is input of the shape {tuple(first.inputs.shape[1:])}, and "
            f"the data are of {tuple(wanted.shape[1:])}; give both in one size, or a preprocessing with a crop."
        )
