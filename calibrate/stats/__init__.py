"""Statistics of a network's inputs and activations, pooled over data."""

from calibrate.stats.inputs import pooled_inputs
from calibrate.stats.moments import Moments

__all__ = ["Moments", "pooled_inputs"]
