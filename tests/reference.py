"""Float64 references, written from the formulas in numpy and sharing no code with the product."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def per_channel(values: Array, like: Array) -> Array:
    return values.reshape((1, -1) + (1,) * (like.ndim - 2))


def batch_norm(x: Array, rm: Array, rv: Array, weight: Array, bias: Array, eps: float) -> Array:
    rm, rv, weight, bias = (per_channel(values, x) for values in (rm, rv, weight, bias))
    return weight * (x - rm) / np.sqrt(rv + eps) + bias


def example_weighed(
    x: Array, rm: Array, rv: Array, weight: Array, bias: Array, eps: float, alpha: float | Array
) -> Array:
    """The definition, by first and second moments: mu, q = E[x²] mixed, var = q − mu², in extended precision."""
    x = x.astype(np.longdouble)
    axes = tuple(range(2, x.ndim))
    rm, rv, weight, bias = (per_channel(values.astype(np.longdouble), x) for values in (rm, rv, weight, bias))
    a = per_channel(np.broadcast_to(np.asarray(alpha, np.longdouble), (x.shape[1],)), x)
    m = x.mean(axes, keepdims=True) if axes else x
    v = x.var(axes, keepdims=True) if axes else np.zeros_like(x)
    mu = (1 - a) * rm + a * m
    var = (1 - a) * rv + a * v + a * (1 - a) * (m - rm) ** 2
    return np.asarray(weight * (x - mu) / np.sqrt(var + eps) + bias, np.float64)


def mixture_variance(rm: float, rv: float, m: float, v: float, alpha: float) -> float:
    """Variance of the mixture from its raw second moment: q − mu²."""
    mu = (1 - alpha) * rm + alpha * m
    q = (1 - alpha) * (rv + rm**2) + alpha * (v + m**2)
    return q - mu**2


def example_weighed_group(
    x: Array, groups: int, rm: Array, rv: Array, weight: Array, bias: Array, eps: float, alpha: float
) -> Array:
    """Group by group and example by example, by raw second moments in extended precision: var = q − mu²."""
    y = np.empty(x.shape, np.longdouble)
    size = x.shape[1] // groups
    for group in range(groups):
        part = slice(group * size, (group + 1) * size)
        centre = rm[part].mean(dtype=np.longdouble)  # every moment is taken about it, or it would swamp the rest
        running = (rv[part].astype(np.longdouble) + (rm[part] - centre) ** 2).mean()
        for example in range(len(x)):
            values = x[example, part].astype(np.longdouble) - centre
            mu = alpha * values.mean()
            var = (1 - alpha) * running + alpha * (values**2).mean() - mu**2
            y[example, part] = (values - mu) / np.sqrt(var + eps)
    return np.asarray(per_channel(weight, x) * y + per_channel(bias, x), np.float64)
