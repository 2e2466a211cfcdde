"""Float64 references of the variants of batch normalisation: one function each, from its formula, in plain numpy.

Each takes the input, the layer's state (arrays by state-dict name, of which it updates the running statistics when it
trains), and its settings. Statistics are taken over the very set of values that the method names, by indexing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
State = dict[str, Any]
Reference = Callable[..., Array]

EPS = 1e-3


def per_channel(values: Array, like: Array) -> Array:
    return np.reshape(values, (1, -1) + (1,) * (like.ndim - 2))


def whiten(x: Array, mean: Array, var: Array) -> Array:
    return (x - mean) / np.sqrt(var + EPS)


def others(x: Array) -> tuple[int, ...]:
    """All axes but the channels'."""
    return (0, *range(2, x.ndim))


def batch(x: Array) -> tuple[Array, Array]:
    return x.mean(others(x)), x.var(others(x))


def own(x: Array) -> tuple[Array, Array]:
    """Mean and variance over positions, (N, C, 1, ...)."""
    axes = tuple(range(2, x.ndim))
    return (x.mean(axes, keepdims=True), x.var(axes, keepdims=True)) if axes else (x, np.zeros_like(x))


def gap(x: Array) -> Array:
    return own(x)[0]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def rate(state: State, momentum: float | None) -> float:
    state["num_batches_tracked"] = state["num_batches_tracked"] + 1
    return 1 / float(state["num_batches_tracked"]) if momentum is None else momentum


def track(state: State, x: Array, momentum: float | None) -> None:
    mean, var = x.mean(others(x)), x.var(others(x), ddof=1)
    a = rate(state, momentum)
    state["running_mean"] = (1 - a) * state["running_mean"] + a * mean
    state["running_var"] = (1 - a) * state["running_var"] + a * var


def statistics(state: State, x: Array, training: bool, momentum: float | None) -> tuple[Array, Array]:
    if training:
        mean, var = batch(x)
        track(state, x, momentum)
    else:
        mean, var = state["running_mean"], state["running_var"]
    return per_channel(mean, x), per_channel(var, x)


def affine(state: State, x_hat: Array) -> Array:
    return per_channel(state["weight"], x_hat) * x_hat + per_channel(state["bias"], x_hat)


def inference(x: Array, state: State) -> Array:
    return affine(state, whiten(x, per_channel(state["running_mean"], x), per_channel(state["running_var"], x)))


def batch_norm(x: Array, state: State, training: bool, momentum: float | None) -> Array:
    return affine(state, whiten(x, *statistics(state, x, training, momentum)))


def stoch_norm(
    x: Array, state: State, training: bool, momentum: float | None, drawn: Any = None, p: float = 0, **_: Any
) -> Array:
    if not training:
        return inference(x, state)
    rm, rv = state["running_mean"], state["running_var"]
    s = per_channel(np.asarray(drawn, float), x)
    mean, var = (per_channel(moment, x) for moment in batch(x))
    x_hat = s * whiten(x, mean, var) + (1 - s) * whiten(x, per_channel(rm, x), per_channel(rv, x))
    track(state, x, momentum)
    return affine(state, x_hat)


def switched_batch_norm(
    x: Array,
    state: State,
    training: bool,
    momentum: float | None,
    update_statistics: bool = True,
    normalise: str = "batch",
) -> Array:
    if not training:
        return inference(x, state)
    x_hat = whiten(x, *(per_channel(moment, x) for moment in batch(x)))
    y = affine(state, x_hat) if normalise == "batch" else inference(x, state)
    if update_statistics:
        track(state, x, momentum)
    return y


def blocks(count: int, size: int, values: int) -> list[range]:
    found = [range(start, min(start + size, count)) for start in range(0, count, size)]
    if len(found) > 1 and len(found[-1]) * values < 2:
        last = found.pop()
        found[-1] = range(found[-1].start, last.stop)
    return found


def ghost_batch_norm(
    x: Array, state: State, training: bool, momentum: float | None, ghost_size: int, running: str = "unbiased"
) -> Array:
    if not training:
        return inference(x, state)
    x_hat = np.empty_like(x)
    for block in blocks(len(x), ghost_size, int(np.prod(x.shape[2:]))):
        part = x[block.start : block.stop]
        x_hat[block.start : block.stop] = whiten(part, *(per_channel(moment, x) for moment in batch(part)))
    if running == "unbiased":
        track(state, x, momentum)
    else:
        a = rate(state, momentum)
        second = state["running_var"] + state["running_mean"] ** 2
        second = (1 - a) * second + a * (x**2).mean(others(x))
        state["running_mean"] = (1 - a) * state["running_mean"] + a * x.mean(others(x))
        state["running_var"] = second - state["running_mean"] ** 2
    return affine(state, x_hat)


def batch_group_norm(
    x: Array, state: State, training: bool, momentum: float | None, num_groups: int, examples_per_group: int, alpha: Any
) -> Array:
    channels = x.shape[1] // num_groups
    groups = [slice(start, start + channels) for start in range(0, x.shape[1], channels)]
    x_hat = np.empty_like(x)
    if training:
        for block in blocks(len(x), examples_per_group, channels * int(np.prod(x.shape[2:]))):
            for group in groups:
                part = x[block.start : block.stop, group]
                x_hat[block.start : block.stop, group] = whiten(part, part.mean(), part.var())
        track(state, x, momentum)
        return affine(state, x_hat)
    for group in groups:
        rm, rv = state["running_mean"][group], state["running_var"][group]
        moving_mean, moving_second = rm.mean(), (rv + rm**2).mean()
        a = np.broadcast_to(alpha, (x.shape[1],))[group]
        for n in range(len(x)):
            part = x[n : n + 1, group]
            mean = (1 - a) * moving_mean + a * part.mean()
            second = (1 - a) * moving_second + a * (part**2).mean()
            x_hat[n : n + 1, group] = whiten(part, per_channel(mean, part), per_channel(second - mean**2, part))
    return affine(state, x_hat)


def batch_renorm(x: Array, state: State, training: bool, momentum: float | None, r_max: float, d_max: float) -> Array:
    if not training:
        return inference(x, state)
    mean, var = batch(x)
    sigma_batch, sigma = np.sqrt(var + EPS), np.sqrt(state["running_var"] + EPS)
    r = np.clip(sigma_batch / sigma, 1 / r_max, r_max)
    d = np.clip((mean - state["running_mean"]) / sigma, -d_max, d_max)
    a = rate(state, momentum)
    state["running_mean"] = state["running_mean"] + a * (mean - state["running_mean"])
    state["running_var"] = (sigma + a * (sigma_batch - sigma)) ** 2 - EPS
    x_hat = (x - per_channel(mean, x)) / per_channel(sigma_batch, x) * per_channel(r, x) + per_channel(d, x)
    return affine(state, x_hat)


def representative_batch_norm(
    x: Array,
    state: State,
    training: bool,
    momentum: float | None,
    instance_statistics: bool = True,
    centering: bool = True,
) -> Array:
    if centering:
        x = x + per_channel(state["center_weight"], x) * gap(x)
    x_hat = whiten(x, *statistics(state, x, training, momentum))
    gate = per_channel(state["scale_bias"], x)
    if instance_statistics:
        gate = gate + per_channel(state["scale_weight"], x) * gap(x_hat)
    return affine(state, sigmoid(gate) * x_hat)


def instance_enhancement_batch_norm(
    x: Array, state: State, training: bool, momentum: float | None, instance_statistics: bool = True
) -> Array:
    x_hat = whiten(x, *statistics(state, x, training, momentum))
    gate = per_channel(state["scale_bias"], x)
    if instance_statistics:
        gate = gate + per_channel(state["scale_weight"], x) * gap(x)
    return affine(state, sigmoid(gate) * x_hat)


def batch_instance_norm(x: Array, state: State, training: bool, momentum: float | None) -> Array:
    gate = per_channel(state["gate"], x)
    by_batch = whiten(x, *statistics(state, x, training, momentum))
    return affine(state, gate * by_batch + (1 - gate) * whiten(x, *own(x)))


def instance_batch_norm(x: Array, state: State, training: bool, momentum: float | None, ratio: float) -> Array:
    x_hat = whiten(x, *statistics(state, x, training, momentum))
    first = int(np.floor(x.shape[1] * ratio))
    x_hat[:, :first] = whiten(x, *own(x))[:, :first]
    return affine(state, x_hat)


def scaled_affine_batch_norm(x: Array, state: State, training: bool, momentum: float | None, form: str) -> Array:
    x_hat = whiten(x, *statistics(state, x, training, momentum))
    if form == "A2":
        x_hat = per_channel(state["inner_weight"], x) * x_hat
    return per_channel(state["weight"], x) * (x_hat + per_channel(state["bias"], x))


def batch_weighed_batch_norm(
    x: Array,
    state: State,
    training: bool,
    momentum: float | None,
    prior: float = 0.0,
    source_weight: float | None = None,
    variant: str = "moments",
) -> Array:
    if training:
        return batch_norm(x, state, training, momentum)
    source = prior / (prior + len(x)) if source_weight is None else source_weight
    rm, rv = state["running_mean"], state["running_var"]
    mean = source * rm + (1 - source) * x.mean(others(x))
    if variant == "moments" or source == 0:
        second = source * (rv + rm**2) + (1 - source) * (x**2).mean(others(x))
        var = second - mean**2
    else:
        values = x.size // x.shape[1]
        var = source * rv + (1 - source) * x.var(others(x), ddof=min(values - 1, 1))
    return affine(state, whiten(x, per_channel(mean, x), per_channel(var, x)))
