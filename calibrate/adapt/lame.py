"""LAME: the predictions of a batch are corrected so that neighbours in feature space agree.

Reference: Boudiaf et al., Parameter-free Online Test-time Adaptation, CVPR 2022, §4 (LAME). The affinity, which the
paper leaves open, its bandwidth and the tolerance are those of the authors' code.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from calibrate.adapt.adapter import Adapter, Keeps
from calibrate.errors import ModelError
from calibrate.steps import LAME
from calibrate.surgery import final_layer, watching

#: The energy has converged where an update moves it by less than this share of it.
TOLERANCE = 1e-8


class LAMEAdapter(Adapter[LAME]):
    """Corrects each batch's predictions by the features that the network's final linear layer is given.

    Nothing is learned: a batch's predictions depend on that batch alone. Cost: one forward pass and O(n²) operations;
    some more passes over two images, once, to find the layer.
    """

    keeps: ClassVar[Keeps] = "runtime"

    def prepare_(self) -> None:
        """Leave the network as it is."""
        self._final: torch.nn.Module | None = None

    def step(self, x: Tensor) -> Tensor:
        """The corrected predictions (n, K) as log-probabilities, which are logits whose softmax they are."""
        if self._final is None:
            found = final_layer(self.fold_(x), x[:2])
            if found is None:
                raise ModelError(
                    "LAME compares images by what the network's final linear layer is given, and no single linear "
                    "layer puts out this network's logits. Give the network without what follows that layer, or "
                    "choose another method."
                )
            self._final = found[1]
        features: list[Tensor] = []
        watch = watching([self._final], before=lambda _, arguments: features.append(arguments[0]))
        watched = self.folded
        with watch, torch.inference_mode():
            logits = self.infer(x)
            if self.folded is not watched:  # x takes another way through the network, which then works unfolded
                self._final = None
                return self.step(x)
            return laplacian_adjusted(
                logits, features[-1].flatten(1), self.settings.neighbours, self.settings.iterations
            )


def laplacian_adjusted(logits: Tensor, features: Tensor, neighbours: int, iterations: int) -> Tensor:
    """Log-probabilities log Z (n, K) that agree among neighbours, in float64 and given back in the logits' precision.

    With P the softmax of ``logits`` and W the affinity of ``features`` (n, d), repeat until the energy
    Σ KL(zᵢ‖pᵢ) − ½ Σ wᵢⱼ zᵢᵀzⱼ converges, ``iterations`` times at most, from Z = P::

        zᵢ ← softmax(log pᵢ + Σⱼ wᵢⱼ zⱼ)

    W is positive semi-definite, so no update raises the energy. An example alone has no neighbours: Z = P.

    >>> alike = torch.ones(2, 1)
    >>> laplacian_adjusted(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), alike, 2, 100).exp().round(decimals=3)
    tensor([[0.9810, 0.0190],
            [0.4810, 0.5190]])
    """
    log_p = logits.double().log_softmax(1)
    if len(log_p) == 1:
        return log_p.to(logits.dtype)
    weights = affinity(features, neighbours)
    log_z, from_neighbours, before = log_p, weights @ log_p.exp(), float("inf")
    for _ in range(iterations):
        log_z = (log_p + from_neighbours).log_softmax(1)
        z = log_z.exp()
        from_neighbours = weights @ z
        energy = float((z * (log_z - log_p - from_neighbours / 2)).sum())
        if abs(energy - before) <= TOLERANCE * abs(energy):
            break
        before = energy
    return log_z.to(logits.dtype)


def affinity(features: Tensor, neighbours: int) -> Tensor:
    """W (n, n) in float64: wᵢⱼ = exp(−‖fᵢ − fⱼ‖² / 2σ²) for rows f of ``features`` (n, d), each over its L2 norm.

    σ is the mean, over all examples, of the distance to the k-th nearest, the example itself being the first; k is
    ``neighbours``, or n where that is fewer. W is symmetric, dense, and 1 on its diagonal.

    >>> affinity(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), 2).round(decimals=4)
    tensor([[1.0000, 0.6065],
            [0.6065, 1.0000]], dtype=torch.float64)
    """
    unit = F.normalize(features.double())
    distance = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distance.kthvalue(min(neighbours, len(unit))).values
    sigma = nearest.mean().clamp_min(torch.finfo(distance.dtype).eps)
    return torch.exp(-(distance / sigma).square() / 2)
