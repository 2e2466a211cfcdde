"""Statistics of a network's inputs and activations, pooled over data, and their re-estimation."""

from calibrate.stats.batches import Batches, IterableBatches, as_batches
from calibrate.stats.gathered import Exchange
from calibrate.stats.inputs import pooled_inputs
from calibrate.stats.live_memory import batches_that_fit
from calibrate.stats.moments import Moments
from calibrate.stats.pool import Pool
from calibrate.stats.prior import Prior
from calibrate.stats.reestimation import Reestimated, reestimate, reestimate_
from calibrate.stats.repeated import Repeated
from calibrate.stats.saved_state import ReestimationState

__all__ = [
    "Batches",
    "Exchange",
    "IterableBatches",
    "Moments",
    "Pool",
    "Prior",
    "Reestimated",
    "ReestimationState",
    "Repeated",
    "as_batches",
    "batches_that_fit",
    "pooled_inputs",
    "reestimate",
    "reestimate_",
]
