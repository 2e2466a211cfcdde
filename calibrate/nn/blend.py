"""Blend: one pair of moments out of two, as if their populations had been pooled."""

from torch import Tensor


def blend(var_a: Tensor, offset: Tensor, var_b: Tensor, weight_b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the mixture of two populations, the second with weight w, measured from the first mean.

    offset of the mixture = w·offset; variance = (1 − w)·var_a + w·var_b + w(1 − w)·offset².

    The moments are mixed, not the variances: the last term is what a plain mix of variances forgets. ``offset`` is
    mean_b − mean_a, taken as one number so that it keeps its digits where both means are large.
    All four broadcast against each other.
    """
    weight_a = 1 - weight_b
    return weight_b * offset, weight_a * var_a + weight_b * var_b + weight_b * weight_a * offset.square()
