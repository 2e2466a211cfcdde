"""A re-estimation: which layers got new running statistics, from what, and how far these moved."""

from typing import Literal

from calibrate.values import Value


class Moved(Value):
    """One layer: mean |rm − rm₀| / √(rv₀ + eps) over its channels, and mean |log((rv + eps) / (rv₀ + eps))|.

    rm₀ and rv₀ are the running statistics from before.
    """

    name: str
    mean: float
    log_variance: float


class Reestimation(Value):
    """The statistics of ``layers`` were measured anew over ``images`` examples, without labels.

    ``on`` says whether these are of the calibration half or of the training data, and
    ``augmentation`` what was done to them. ``passes`` is what that cost, in
    forward passes over these examples.
    """

    on: Literal["calibration", "training"] = "calibration"
    augmentation: Literal["none", "flip_crop"] = "none"
    images: int
    passes: float
    layers: tuple[Moved, ...]
