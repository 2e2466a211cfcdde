"""Few-shot learning: Adam on some tensors of a network, until the examples held back gain no more."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from calibrate.nn import ExampleWeighed
from calibrate.search.gain import Gain, paired_gain
from calibrate.search.temperature import fit_temperature
from calibrate.surgery import evaluating

#: Batches of an epoch, counted from 1: inputs and labels.
Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]


@dataclass(frozen=True, slots=True)
class Learnable:
    """One vector to learn, from ``start`` (P,): the ``entries`` of a state dict made of it, and a penalty.

    ``entries(vector)`` are tensors by their names in the network, through which gradients reach the vector.
    ``penalty(vector)`` is added to the cross-entropy.
    """

    start: Tensor
    entries: Callable[[Tensor], dict[str, Tensor]]
    penalty: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class LearnedEpoch:
    """The vector after an epoch, and the mean cross-entropy in it, of each batch before its step."""

    vector: Tensor
    cross_entropy: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """The epochs until the stop; the cross-entropy held back, after its own best T, before and after each of them.

    ``best`` and ``kept`` count epochs, 0 is the start. ``diverged`` says that the epoch after these was not finite.
    """

    epochs: tuple[LearnedEpoch, ...]
    held_back: tuple[float, ...]
    best: int
    kept: int
    gain: Gain
    diverged: bool


def learn(
    model: nn.Module, learnable: Learnable, batches: Batches, *, epochs: int, lr: float, temperature: float
) -> Iterator[LearnedEpoch]:
    """Minimise the mean cross-entropy of logits/``temperature`` plus the penalty, by Adam, a step for each batch.

    ``model`` is in evaluation mode while it learns, computes with the learned entries, and is not changed. It must not
    be float16, in which small gradients are rounded to 0.

    Reference: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, algorithm 1 (β₁ 0.9, β₂ 0.999, ε 1e-8).
    """
    vector = learnable.start.clone().requires_grad_()
    names = learnable.entries(learnable.start).keys()
    optimizer = torch.optim.Adam([vector], lr=lr)
    for number in range(1, epochs + 1):
        total, count = 0.0, 0
        tensors = _by_layer(model)
        learned = {id(tensors[name]): name for name in names}
        with evaluating(model), torch.enable_grad():
            for x, y in batches(number):
                entries = learnable.entries(vector)
                computed = {
                    name: entries[learned[id(tensor)]] if id(tensor) in learned else tensor.detach()
                    for name, tensor in tensors.items()
                }
                logits = functional_call(model, computed, (x,), tie_weights=False)
                loss = F.cross_entropy(logits.to(vector.dtype) / temperature, y)
                optimizer.zero_grad()
                (loss + learnable.penalty(vector)).backward(inputs=[vector])
                optimizer.step()
                total += float(loss.detach()) * len(y)
                count += len(y)
        yield LearnedEpoch(vector.detach().clone(), total / count)


def choose(
    epochs: Iterable[LearnedEpoch],
    logits_after: Callable[[LearnedEpoch], Tensor],
    before: Tensor,
    labels: Tensor,
    *,
    patience: int,
    margin: float,
) -> Chosen:
    """Take epochs until ``patience`` in a row did no better on the examples held back than one before; keep the best.

    ``before`` and ``logits_after(epoch)`` are the logits (n, K) of the examples held back, whose labels are ``labels``.
    An epoch is judged by their cross-entropy after its own best temperature, and kept where it beats the start by more
    than ``margin`` paired standard errors.

    Limits: the gain is the best of several, so it is a little flattered.
    """
    nll = [fit_temperature(before, labels).nll]
    taken: list[LearnedEpoch] = []
    diverged = False
    for epoch in epochs:
        logits = logits_after(epoch) if epoch.vector.isfinite().all() else None
        diverged = logits is None or not bool(logits.isfinite().all())
        if diverged or logits is None:
            break
        taken.append(epoch)
        nll.append(fit_temperature(logits, labels).nll)
        lowest = min(range(1, len(nll)), key=lambda number: float(nll[number].mean()))
        if len(taken) - lowest >= patience:
            break
    best = min(range(len(nll)), key=lambda number: float(nll[number].mean()))
    gain = paired_gain(nll[0], nll[best])
    kept = best if gain.beats(margin) else 0
    return Chosen(tuple(taken), tuple(float(each.mean()) for each in nll), best, kept, gain, diverged)


def _by_layer(model: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of each layer, once under a name of the layer's: also where layers share them.

    Given two names of one layer, ``functional_call`` puts the first tensor back under one, and its own under the other.
    """
    return {
        f"{layer}.{name}".lstrip("."): tensor
        for layer, module in model.named_modules()
        for own in (module.named_parameters, module.named_buffers)
        for name, tensor in own(recurse=False, remove_duplicate=False)
    }


def joined(tensors: Mapping[str, Tensor]) -> Tensor:
    """The numbers of all ``tensors`` as one new vector (P,), float32 at least."""
    vector = torch.cat([tensor.detach().reshape(-1) for tensor in tensors.values()])
    return vector.to(torch.promote_types(vector.dtype, torch.float32))


def parted(vector: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The numbers of ``vector`` (P,) in the shapes and types of ``tensors``: the way back from :func:`joined`."""
    parts = vector.split([tensor.numel() for tensor in tensors.values()])
    return {
        name: part.reshape(tensor.shape).to(tensor.dtype)
        for part, (name, tensor) in zip(parts, tensors.items(), strict=True)
    }


def place_(model: nn.Module, entries: Mapping[str, Tensor]) -> None:
    """Give the tensors of ``model`` that ``entries`` name their values."""
    with torch.no_grad():
        for name, value in entries.items():
            owner, _, attribute = name.rpartition(".")
            layer = model.get_submodule(owner)
            if isinstance(layer, ExampleWeighed) and attribute == "alpha":
                layer.alpha = value.clone()
            else:
                getattr(layer, attribute).copy_(value)
