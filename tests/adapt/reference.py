"""The methods once more, in float64 numpy, from their formulas; gradients are central differences."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float64]
Update = Callable[[Array, Array], Array]
#: For each batch: the logits, γ and β after it, and how many examples were learned from.
Course = Iterator[tuple[Array, Array, int]]

EPS = 1e-5
SIZES = (5, 4, 3)
CLASSES = 3


class Network:
    """Linear, BatchNorm by the batch, tanh, twice; then linear. θ is γ₁, β₁, γ₂, β₂ in a row."""

    def __init__(self, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.weights = [draw.normal(size=(SIZES[1], SIZES[0])), draw.normal(size=(SIZES[2], SIZES[1]))]
        self.head = 2 * draw.normal(size=(CLASSES, SIZES[2]))
        self.theta = draw.uniform(0.5, 1.5, 2 * sum(SIZES[1:]))

    def logits(self, theta: Array, x: Array) -> Array:
        parts = np.split(theta, np.cumsum([SIZES[1], SIZES[1], SIZES[2]]))
        for weight, scale, shift in zip(self.weights, parts[::2], parts[1::2], strict=True):
            x = x @ weight.T
            x = np.tanh(scale * (x - x.mean(0)) / np.sqrt(x.var(0) + EPS) + shift)
        return x @ self.head.T

    def torch(self) -> nn.Sequential:
        """The same network, with running statistics that nobody asks for."""
        first, second = (nn.Linear(weight.shape[1], len(weight), bias=False) for weight in self.weights)
        head = nn.Linear(SIZES[2], CLASSES, bias=False)
        norms = [nn.BatchNorm1d(size) for size in SIZES[1:]]
        model = nn.Sequential(first, norms[0], nn.Tanh(), second, norms[1], nn.Tanh(), head).double()
        values = np.split(self.theta, np.cumsum([SIZES[1], SIZES[1], SIZES[2]]))
        parameters = [parameter for norm in norms for parameter in (norm.weight, norm.bias)]
        with torch.no_grad():
            for parameter, value in zip(
                [first.weight, second.weight, head.weight, *parameters],
                [*self.weights, self.head, *values],
                strict=True,
            ):
                parameter.copy_(torch.from_numpy(value))
        return model.eval()


def softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def entropies(logits: Array) -> Array:
    p = softmax(logits)
    return -(p * np.log(p)).sum(1)


def gradient(f: Callable[[Array], float], theta: Array, h: float = 1e-6) -> Array:
    return np.array([(f(theta + h * e) - f(theta - h * e)) / (2 * h) for e in np.eye(len(theta))])


def adam(lr: float) -> Update:
    m, v, t = 0.0, 0.0, 0

    def update(theta: Array, g: Array) -> Array:
        nonlocal m, v, t
        m, v, t = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2, t + 1
        return theta - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)

    return update


def sgd(lr: float, momentum: float) -> Update:
    velocity = 0.0

    def update(theta: Array, g: Array) -> Array:
        nonlocal velocity
        velocity = momentum * velocity + g
        return theta - lr * velocity

    return update


def tent(net: Network, stream: Sequence[Array], update: Update, steps: int) -> Course:
    theta = net.theta
    for x in stream:
        answer = net.logits(theta, x)
        for _ in range(steps):
            theta = update(theta, gradient(lambda t, x=x: entropies(net.logits(t, x)).mean(), theta))
        yield answer, theta, len(x)


def eta(
    net: Network,
    stream: Sequence[Array],
    update: Update,
    share: float,
    redundancy: float,
    decay: float,
    pull: Array | float = 0.0,
) -> Course:
    theta, mean, limit = net.theta, None, share * np.log(CLASSES)
    for x in stream:
        answer = net.logits(theta, x)
        p, h = softmax(answer), entropies(answer)
        kept = h < limit
        if mean is not None:
            cosine = p @ mean / (np.linalg.norm(p, axis=1) * np.linalg.norm(mean))
            kept = kept & (np.abs(cosine) < redundancy)
        if kept.any():
            mean = p[kept].mean(0) if mean is None else decay * mean + (1 - decay) * p[kept].mean(0)

            weight = np.exp(limit - h[kept])

            def loss(t: Array, x: Array = x, kept: NDArray[np.bool_] = kept, weight: Array = weight) -> float:
                weighted = weight * entropies(net.logits(t, x))[kept]
                return float(weighted.mean() + (pull * (t - net.theta) ** 2).sum())

            theta = update(theta, gradient(loss, theta))
        yield answer, theta, int(kept.sum())


def fisher(net: Network, batches: Sequence[Array]) -> Array:
    squares = []
    for x in batches:
        labels = net.logits(net.theta, x).argmax(1)

        def cross_entropy(t: Array, x: Array = x, labels: NDArray[np.int64] = labels) -> float:
            return float(-np.log(softmax(net.logits(t, x))[np.arange(len(x)), labels]).mean())

        squares.append(gradient(cross_entropy, net.theta) ** 2)
    return np.mean(squares, 0)


def sar(
    net: Network,
    stream: Sequence[Array],
    fresh: Callable[[], Update],
    share: float,
    rho: float,
    reset_below: float,
    decay: float,
) -> Course:
    theta, update, mean, limit = net.theta, fresh(), None, share * np.log(CLASSES)
    for x in stream:
        answer = net.logits(theta, x)
        kept = entropies(answer) < limit

        def loss(t: Array, kept: NDArray[np.bool_], x: Array = x) -> float:
            return float(entropies(net.logits(t, x))[kept].mean())

        if kept.any():
            g = gradient(lambda t, kept=kept: loss(t, kept), theta)
            sharp = theta + rho * g / np.linalg.norm(g)
            kept = kept & (entropies(net.logits(sharp, x)) < limit)
        if kept.any():
            theta = update(theta, gradient(lambda t, kept=kept: loss(t, kept), sharp))
            latest = loss(sharp, kept)
            mean = latest if mean is None else decay * mean + (1 - decay) * latest
            if mean < reset_below:
                theta, update, mean = net.theta, fresh(), None
        yield answer, theta, int(kept.sum())
