"""Input fit: whether inputs are prepared as those were that a network's first running statistics remember."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from calibrate.errors import ModelError, said
from calibrate.stats import Moments
from calibrate.surgery import REFUSALS, evaluating, watching

#: A channel whose running variance is less than this share of the upper quartile's carries next to nothing.
LIVE = 1e-3
#: Variances of the data are taken for at least this share of the running variance: a constant input has no logarithm.
LEAST = 1e-6
#: How many bytes of input go through the network at once.
CHUNK = 4 << 20


class _ReachedError(Exception):
    """Ends a pass that only had to come to the first layer with running statistics."""


@dataclass(frozen=True, slots=True, eq=False)
class FirstLayer:
    """The first layer with running statistics that an input reaches, and what of these can be compared with.

    One that has not one pair of them for each channel of its input, (N, C, *), is passed over.
    ``mean`` and ``variance`` are those of the ``live`` channels (C,), in float64. ``behind`` is how many layers with
    weights an input goes through before.
    """

    name: str
    module: nn.Module
    mean: Tensor
    variance: Tensor
    live: Tensor
    behind: int


def first_layer(model: nn.Module, inputs: Tensor) -> FirstLayer | str:
    """The first layer with running statistics that ``inputs`` (n, C, *) reach; or why there is nothing to compare."""
    names = {module: name for name, module in model.named_modules()}
    keeping = [module for module in names if _keeps(module)]
    weighted = [m for m in names if m not in keeping and any(True for _ in m.parameters(recurse=False))]
    behind: set[nn.Module] = set()
    reached: list[nn.Module] = []

    def arrive(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        if _is_by_channel(layer, arguments):
            reached.append(layer)
            raise _ReachedError

    counting = watching(weighted, before=lambda layer, _: behind.add(layer))
    with evaluating(model), counting, watching(keeping, before=arrive):
        _until_reached(model, inputs)
    if not reached:
        return (
            "no layer that keeps running statistics, one pair for each channel of its input, is reached by an input"
            if keeping
            else ("the network keeps no running statistics, which would tell how its inputs were prepared")
        )
    layer: Any = reached[0]
    name = names[layer]
    mean, variance = (values.detach().flatten().double() for values in (layer.running_mean, layer.running_var))
    if not (mean.any() or (variance != 1).any()):
        return f"the running statistics of the first layer, {name}, were never filled"
    finite = mean.isfinite() & variance.isfinite() & (variance > 0)
    if not finite.any():
        return f"no running statistics of the first layer, {name}, are finite and above 0"
    live = finite & (variance > LIVE * variance[finite].quantile(0.75))
    return FirstLayer(name, layer, mean[live], variance[live], live, len(behind))


def misfit(model: nn.Module, first: FirstLayer, batches: Iterable[Tensor]) -> float:
    """How unlike the inputs of ``first`` are to what its running statistics remember, in nats.

    Over the live channels the mean of ½(v/rv − 1 − ln(v/rv) + (m − rm)²/rv), the divergence of normal distributions,
    where m and v are the mean and biased variance (÷n) of the layer's input on all examples of ``batches`` (n, C, *),
    pooled in float64, and rm, rv the running statistics. 0 where they agree; infinite where the input is not finite, or
    the network does not take it, or does not bring it to the layer.
    Cost: what stands before the layer, once for each example.

    >>> network = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 2))
    >>> x = torch.tensor([[0.0], [2.0]])
    >>> _ = network[0].running_mean.fill_(3.0)
    >>> misfit(network, first_layer(network, x), [x])
    2.0
    """
    parts: list[Moments] = []

    def arrive(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        parts.append(Moments.of(arguments[0]))
        raise _ReachedError

    with evaluating(model), watching([first.module], before=arrive), torch.inference_mode():
        for batch in batches:
            size = max(1, CHUNK // max(1, batch[0].nbytes))
            for chunk in batch.split(size):
                try:
                    _until_reached(model, chunk)
                except ModelError:
                    return torch.inf
    if not parts or parts[0].mean.shape != first.live.shape:
        return torch.inf
    pooled = reduce(Moments.merge, parts)
    return float(_divergence(first, pooled.mean, pooled.variance).nan_to_num(torch.inf, torch.inf))


def undoing_map(model: nn.Module, first: FirstLayer, inputs: Tensor) -> tuple[Tensor, Tensor] | None:
    """The ``scale`` and ``shift`` (C,) of the channels of ``inputs`` (n, C, *) at which their misfit is least.

    By L-BFGS through what stands before ``first``, from what fits best of: as they are, standardized, and of the range
    0 to 1; None where no gradient comes through, the network does not take what is tried, or nothing finite comes of
    it. Cost: about 50 passes with gradients through what stands before the layer.
    """
    seen: list[Tensor] = []

    def arrive(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen[:] = arguments[:1]
        raise _ReachedError

    spread, center = torch.var_mean(inputs.float(), (0, *range(2, inputs.dim())), correction=0)
    spread = spread.sqrt().clamp_min(1e-12)
    by_channel = (1, -1, *[1] * (inputs.dim() - 2))
    units = (inputs.float() - center.view(by_channel)) / spread.view(by_channel)

    def loss(scale: Tensor, shift: Tensor) -> Tensor:
        seen.clear()
        _until_reached(model, (units * scale.view(by_channel) + shift.view(by_channel)).to(inputs.dtype))
        x = seen[0].double()
        variance, mean = torch.var_mean(x, (0, *range(2, x.dim())), correction=0)
        return _divergence(first, mean, variance)

    starts = [(spread, center), (0 * spread + 1, 0 * spread), (0 * spread + 0.25, 0 * spread + 0.45)]
    try:
        with evaluating(model), watching([first.module], before=arrive), torch.enable_grad():
            scale, shift = (
                x.clone().requires_grad_() for x in min(starts, key=lambda start: float(loss(*start).detach()))
            )
            optimizer = torch.optim.LBFGS([scale, shift], max_iter=60, line_search_fn="strong_wolfe")

            def closure() -> Tensor:
                optimizer.zero_grad()
                value = loss(scale, shift)
                value.backward(inputs=[scale, shift])
                return value

            optimizer.step(closure)
    except (RuntimeError, IndexError, ModelError):
        return None
    found = (scale / spread).detach(), (shift - scale * center / spread).detach()
    return found if all(values.isfinite().all() for values in found) else None


def contrast(values: Tensor) -> float:
    """The range between the 1st and the 99th percentile of each example's ``values`` (n, C, *), the median over them.

    >>> round(contrast(torch.linspace(0, 1, 101).expand(2, 1, 101)), 2)
    0.98
    """
    flat = values.double().flatten(1)
    flat = flat[:, :: -(-flat.shape[1] // 10_000)]
    low, high = flat.quantile(torch.tensor([0.01, 0.99], dtype=torch.float64), 1)
    return float((high - low).median())


def channel_moments(values: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of ``values`` (n, C, *) over all examples."""
    pooled = Moments.of(values)
    return tuple(pooled.mean.tolist()), tuple(pooled.variance.sqrt().tolist())


def _keeps(module: nn.Module) -> bool:
    """Whether ``module`` holds running statistics of its own input, of whatever class it is."""
    return all(isinstance(getattr(module, name, None), Tensor) for name in ("running_mean", "running_var"))


def _is_by_channel(layer: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether ``layer`` has one running mean and variance for each channel of its input."""
    if not (arguments and isinstance(arguments[0], Tensor) and arguments[0].dim() > 1):
        return False
    return bool(layer.running_mean.numel() == layer.running_var.numel() == arguments[0].shape[1])


def _until_reached(model: nn.Module, inputs: Tensor) -> None:
    """Run ``model`` up to where a hook ends the pass; ModelError where it cannot take inputs."""
    try:
        model(inputs)
    except _ReachedError:
        return
    except REFUSALS as error:
        raise ModelError(f"the network cannot take inputs of shape {tuple(inputs.shape)}: {said(error)}.") from error


def _divergence(first: FirstLayer, mean: Tensor, variance: Tensor) -> Tensor:
    return normal_divergence(mean[first.live], variance[first.live], first.mean, first.variance)


def normal_divergence(mean: Tensor, variance: Tensor, reference_mean: Tensor, reference_variance: Tensor) -> Tensor:
    """½(v/v₀ − 1 − ln(v/v₀) + (m − m₀)²/v₀), the mean over channels: Kullback and Leibler's, of normal distributions.

    m, v are mean and variance and m₀, v₀ those of the reference, (*, C); v/v₀ counts as ``LEAST`` at least. Gives (*).

    >>> two = torch.tensor([2.0])
    >>> normal_divergence(two, two / 2, 0 * two, two / 2)
    tensor(2.)
    """
    ratio = (variance / reference_variance).clamp_min(LEAST)
    return (0.5 * (ratio - 1 - ratio.log() + (mean - reference_mean).square() / reference_variance)).mean(-1)
