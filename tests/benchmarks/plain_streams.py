"""The methods on streams as plain loops, written from their papers for ``tests.benchmarks.stream_speed``.

Each takes a network, which it changes, settings, and batches like those of the training; it gives what makes of a batch
(n, 3, 32, 32) its logits, or log-probabilities.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibrate.steps import EATA, ETA, IEW, LAME, SAR, BNAlpha, PredictionTimeBN, Tent

Step = Callable[[Tensor], Tensor]


def batch_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def normalise_by_batch_(model: nn.Module) -> None:
    for layer in batch_norms(model.eval()):
        layer.track_running_stats = False
        layer.running_mean = layer.running_var = None


def replace_(model: nn.Module, build: Callable[[nn.BatchNorm2d], nn.Module]) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, build(child))


class MixedStatistics(nn.Module):
    """The batch's statistics by BatchNorm's own kernel, mixed with the running ones."""

    def __init__(self, layer: nn.BatchNorm2d, prior: float) -> None:
        super().__init__()
        self.layer, self.prior = layer, prior

    def forward(self, x: Tensor) -> Tensor:
        layer, source = self.layer, self.prior / (self.prior + len(x))
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean, var = torch.zeros_like(layer.running_mean), torch.ones_like(layer.running_var)
        F.batch_norm(x, mean, var, training=True, momentum=1.0)
        values = x.numel() // x.shape[1]
        var = var * (values - 1) / values
        mixed = source * layer.running_var + (1 - source) * var
        mixed = mixed + source * (1 - source) * (mean - layer.running_mean) ** 2
        mean = source * layer.running_mean + (1 - source) * mean
        return F.batch_norm(x, mean, mixed, layer.weight, layer.bias, eps=layer.eps)


class WeighedExamples(nn.Module):
    """Each example's moments, mixed with the running ones."""

    def __init__(self, layer: nn.BatchNorm2d, alpha: float) -> None:
        super().__init__()
        self.layer, self.alpha = layer, alpha

    def forward(self, x: Tensor) -> Tensor:
        layer, alpha = self.layer, self.alpha
        assert layer.running_mean is not None
        assert layer.running_var is not None
        rm, rv, weight, bias = (
            t[:, None, None] for t in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        )
        mean = x.mean((2, 3), keepdim=True)
        var = (x - mean).square().mean((2, 3), keepdim=True)
        var = (1 - alpha) * rv + alpha * var + alpha * (1 - alpha) * (mean - rm) ** 2
        scale = weight * torch.rsqrt(var + layer.eps)
        return x * scale + (bias - ((1 - alpha) * rm + alpha * mean) * scale)


def without_gradients(model: nn.Module) -> Step:
    def step(x: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = model(x)
        return logits

    return step


def prediction_time_bn(model: nn.Module, _: PredictionTimeBN, known: Sequence[Tensor]) -> Step:
    normalise_by_batch_(model)
    return without_gradients(model)


def bn_alpha(model: nn.Module, settings: BNAlpha, known: Sequence[Tensor]) -> Step:
    replace_(model, lambda layer: MixedStatistics(layer, settings.prior or 0.0))
    return without_gradients(model)


def iew(model: nn.Module, settings: IEW, known: Sequence[Tensor]) -> Step:
    replace_(model, lambda layer: WeighedExamples(layer, float(settings.alpha)))
    return without_gradients(model)


def lame(model: nn.Module, settings: LAME, known: Sequence[Tensor]) -> Step:
    features: list[Tensor] = []
    model.get_submodule("linear").register_forward_pre_hook(lambda _, arguments: features.append(arguments[0]))

    def step(x: Tensor) -> Tensor:
        with torch.inference_mode():
            log_p = model(x).log_softmax(1)
            unit = F.normalize(features.pop())
            distance = torch.cdist(unit, unit)
            sigma = distance.kthvalue(settings.neighbours).values.mean()
            weights = torch.exp(-distance.square() / (2 * sigma**2))
            z, before = log_p.exp(), math.inf
            for _ in range(settings.iterations):
                pairwise = weights @ z
                z = (log_p + pairwise).softmax(1)
                energy = float((z * (z.clamp_min(1e-20).log() - log_p - (weights @ z) / 2)).sum())
                if abs(energy - before) <= 1e-8 * abs(energy):
                    break
                before = energy
            return z.clamp_min(1e-20).log()

    return step


def affine_(model: nn.Module) -> list[nn.Parameter]:
    """γ and β, all else without gradients, the layers normalising by the batch."""
    normalise_by_batch_(model)
    model.requires_grad_(False)
    return [parameter.requires_grad_() for layer in batch_norms(model) for parameter in (layer.weight, layer.bias)]


def optimizer(settings: Tent | ETA | SAR, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    chosen = settings.optimizer
    if chosen.kind == "adam":
        return torch.optim.Adam(parameters, lr=chosen.lr)
    return torch.optim.SGD(parameters, lr=chosen.lr, momentum=chosen.momentum)


def entropy(logits: Tensor) -> Tensor:
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1)


def tent(model: nn.Module, settings: Tent, known: Sequence[Tensor]) -> Step:
    descent = optimizer(settings, affine_(model))

    def step(x: Tensor) -> Tensor:
        logits: Tensor = model(x)
        descent.zero_grad()
        entropy(logits).mean().backward()
        descent.step()
        return logits.detach()

    return step


def fisher(model: nn.Module, parameters: list[nn.Parameter], known: Sequence[Tensor]) -> list[Tensor]:
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for x in known:
        logits = model(x)
        gradients = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(1)), parameters)
        for squares, gradient in zip(total, gradients, strict=True):
            squares += gradient**2 / len(known)
    return total


def eata(model: nn.Module, settings: ETA | EATA, known: Sequence[Tensor]) -> Step:
    """ETA, and with the penalty of EATA where the settings are EATA's."""
    parameters = affine_(model)
    descent, mean = optimizer(settings, parameters), None
    information = fisher(model, parameters, known) if isinstance(settings, EATA) else []
    source = [parameter.detach().clone() for parameter in parameters]

    def step(x: Tensor) -> Tensor:
        nonlocal mean
        logits: Tensor = model(x)
        entropies, limit = entropy(logits), settings.entropy_share * math.log(logits.shape[1])
        kept = torch.where(entropies < limit)[0]
        p = logits.detach()[kept].softmax(1)
        if mean is not None:
            new = F.cosine_similarity(mean[None], p).abs() < settings.redundancy
            kept, p = kept[new], p[new]
        if len(kept):
            mean = p.mean(0) if mean is None else settings.decay * mean + (1 - settings.decay) * p.mean(0)
            entropies = entropies[kept]
            loss = (entropies * (limit - entropies.detach()).exp()).mean()
            if isinstance(settings, EATA):
                for squares, parameter, start in zip(information, parameters, source, strict=True):
                    loss = loss + settings.fisher_weight * (squares * (parameter - start) ** 2).sum()
            descent.zero_grad()
            loss.backward()
            descent.step()
        return logits.detach()

    return step


def sar(model: nn.Module, settings: SAR, known: Sequence[Tensor]) -> Step:
    parameters = affine_(model)
    source = [parameter.detach().clone() for parameter in parameters]
    descent, mean = optimizer(settings, parameters), None

    def step(x: Tensor) -> Tensor:
        nonlocal mean, descent
        logits: Tensor = model(x)
        entropies, limit = entropy(logits), settings.entropy_share * math.log(logits.shape[1])
        kept = torch.where(entropies < limit)[0]
        descent.zero_grad()
        entropies[kept].mean().backward()
        before = [parameter.detach().clone() for parameter in parameters]
        with torch.no_grad():
            norm = torch.stack([parameter.grad.norm() for parameter in parameters]).norm()
            for parameter in parameters:
                parameter += settings.rho / (norm + 1e-12) * parameter.grad
        entropies = entropy(model(x))[kept]
        loss = entropies[entropies < limit].mean()
        descent.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
        descent.step()
        latest = loss.item()
        mean = latest if mean is None else settings.decay * mean + (1 - settings.decay) * latest
        if mean < settings.reset_below:
            with torch.no_grad():
                for parameter, value in zip(parameters, source, strict=True):
                    parameter.copy_(value)
            descent, mean = optimizer(settings, parameters), None
        return logits.detach()

    return step


PLAIN: Mapping[type, Callable[[nn.Module, Any, Sequence[Tensor]], Step]] = {
    PredictionTimeBN: prediction_time_bn,
    BNAlpha: bn_alpha,
    IEW: iew,
    LAME: lame,
    Tent: tent,
    ETA: eata,
    EATA: eata,
    SAR: sar,
}
