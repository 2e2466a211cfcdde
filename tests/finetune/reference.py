"""The penalties once more, in float64 numpy, from their formulas; gradients are central differences."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]


def values(tensors: list[nn.Parameter]) -> list[Array]:
    return [tensor.detach().double().numpy().copy() for tensor in tensors]


def delta(features: list[Array], source: list[Array], strength: float, attention: list[Array] | None) -> float:
    """Layer by layer, example by example, channel by channel."""
    total = 0.0
    for layer, (f, f0) in enumerate(zip(features, source, strict=True)):
        channels, positions = f.shape[1], int(np.prod(f.shape[2:]))
        for example in range(len(f)):
            for channel in range(channels):
                distance = float(((f[example, channel] - f0[example, channel]) ** 2).sum())
                total += distance * (1 if attention is None else channels * attention[layer][channel] / positions)
    return strength * total / 2


def bss(features: Array, k: int, strength: float) -> float:
    """From the eigenvalues of the smaller Gram matrix, which are the squared singular values."""
    flat = features.reshape(len(features), -1)
    gram = flat @ flat.T if len(flat) <= flat.shape[1] else flat.T @ flat
    return strength * float(np.sort(np.linalg.eigvalsh(gram))[:k].sum())


def attention(increases: Array) -> Array:
    scores = (increases - increases.mean()) / increases.std()
    raised = np.exp(scores / 5)
    return raised / raised.sum()


def cross_entropy(logits: Array, y: Array) -> float:
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -float(log_p[np.arange(len(y)), y].sum())


def central_difference(f: Callable[[], Tensor], parameter: Tensor, index: int, h: float = 1e-5) -> float:
    """The derivative of ``f`` by one element of ``parameter``."""
    flat = parameter.detach().view(-1)
    start = flat[index].item()
    outcomes = []
    for step in (h, -h):
        flat[index] = start + step
        outcomes.append(f().item())
    flat[index] = start
    return (outcomes[0] - outcomes[1]) / (2 * h)


def assert_gradient(model: nn.Module, f: Callable[[], Tensor]) -> None:
    """The gradient of ``f`` by the first, middle and last element of each parameter of ``model``."""
    model.zero_grad()
    f().backward()
    for name, parameter in model.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for index in {0, parameter.numel() // 2, parameter.numel() - 1}:
            expected = central_difference(f, parameter, index)
            np.testing.assert_allclose(gradient.view(-1)[index], expected, rtol=1e-5, atol=1e-7, err_msg=name)
