"""Weight histograms: where each layer's weights lie as training goes on, and how their variance moves.

Reference: Adrian G, Batch Norm and Transfer Learning, 2019, Figs. 1, 3, 5, 8 and 9.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from calibrate.errors import UsageError
from calibrate.finetune.penalty import wide
from calibrate.surgery.initialize import Weighted

#: How far the bins reach beyond the largest weight at the start, which gives weights room to grow.
REACH = 1.5


@dataclass(frozen=True, slots=True)
class LayerHistory:
    """The weights of one layer at each record: counts in bins of one width from ``low`` to ``high``, and variances.

    What lies beyond is counted in the outermost bins; variances are biased.
    """

    low: float
    high: float
    counts: list[list[int]] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)

    @property
    def variance_differences(self) -> list[float]:
        """By how much the variance changed from each record to the next: the post's Fig. 5."""
        return [after - before for before, after in zip(self.variances, self.variances[1:], strict=False)]

    def minus(self, other: "LayerHistory") -> list[list[int]]:
        """Counts minus those of ``other``, record by record as far as both go: the post's Figs. 8 and 9.

        >>> one, other = LayerHistory(-1, 1, [[3, 1], [2, 2]], []), LayerHistory(-1, 1, [[3, 1], [0, 4]], [])
        >>> one.minus(other)
        [[0, 0], [2, -2]]
        """
        if (self.low, self.high) != (other.low, other.high):
            raise UsageError(
                f"one histogram goes from {self.low:g} to {self.high:g}, the other from {other.low:g} to "
                f"{other.high:g}; compare arms that start from the same weights."
            )
        pairs = zip(self.counts, other.counts, strict=False)
        return [[a - b for a, b in zip(here, there, strict=True)] for here, there in pairs]


class WeightHistograms:
    """Histograms of the weights of every linear and convolutional layer of ``model``, with ``bins`` bins.

    Making it records the weights as they are; :meth:`record`, after a step or an epoch, adds them as they are then. A
    layer's bins reach to 1.5 times its largest weight at the start, so arms that start alike can be compared. The state
    dict is plain numbers, ready for JSON.

    Cost: a pass over the weights for each record, and ``bins`` integers for each layer.

    >>> model = nn.Sequential(nn.Linear(2, 2))
    >>> histograms = WeightHistograms(model, bins=3)
    >>> nn.init.zeros_(model[0].weight).sum().item(), histograms.record()
    (0.0, None)
    >>> histograms.layers["0"].counts[1], histograms.layers["0"].variances[1]
    ([0, 4, 0], 0.0)
    """

    def __init__(self, model: nn.Module, bins: int = 40) -> None:
        if bins < 1:
            raise UsageError(f"bins is {bins}; a histogram has 1 or more.")
        self.bins = bins
        self.weights = {name: module.weight for name, module in model.named_modules() if isinstance(module, Weighted)}
        self.layers: dict[str, LayerHistory] = {}
        for name, weight in self.weights.items():
            reach = REACH * weight.detach().abs().max().item() or 1.0
            self.layers[name] = LayerHistory(-reach, reach)
        self.record()

    @torch.no_grad()
    def record(self) -> None:
        """Add the weights as they are now."""
        for name, layer in self.layers.items():
            weight = wide(self.weights[name]).flatten()
            inner = torch.linspace(layer.low, layer.high, self.bins + 1, dtype=torch.float64)[1:-1].to(weight)
            counts = torch.bincount(torch.bucketize(weight, inner, right=True), minlength=self.bins)
            layer.counts.append(counts.tolist())
            layer.variances.append(weight.double().var(correction=0).item())

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """For each layer low, high, counts and variances: lists and numbers alone."""
        return {name: asdict(layer) for name, layer in self.layers.items()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on from ``state``, whose records take the place of this one's."""
        self.layers = {name: LayerHistory(**layer) for name, layer in state.items()}
