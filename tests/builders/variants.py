"""Every variant of batch normalisation with its settings and its reference, and what goes into it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from calibrate import nn as layers
from tests.nn import variants
from tests.nn.variants import EPS

C = 4


class Case(NamedTuple):
    """A layer's constructor and reference, both with the same settings."""

    layer: Any
    reference: variants.Reference
    settings: Mapping[str, Any] = {}

    def build(self, **options: Any) -> Any:
        size = {"num_channels" if self.layer is layers.BatchGroupNorm else "num_features": C}
        return self.layer(**{**size, "eps": EPS, **self.settings, **options})


CASES = {
    "stoch": Case(layers.StochNorm, variants.stoch_norm, {"p": 0.5}),
    "switched": Case(layers.SwitchedBatchNorm, variants.switched_batch_norm),
    "switched without updates": Case(
        layers.SwitchedBatchNorm, variants.switched_batch_norm, {"update_statistics": False}
    ),
    "switched to running": Case(layers.SwitchedBatchNorm, variants.switched_batch_norm, {"normalise": "running"}),
    "ghost 2": Case(layers.GhostBatchNorm, variants.ghost_batch_norm, {"ghost_size": 2}),
    "ghost 4": Case(layers.GhostBatchNorm, variants.ghost_batch_norm, {"ghost_size": 4}),
    "ghost published": Case(
        layers.GhostBatchNorm, variants.ghost_batch_norm, {"ghost_size": 2, "running": "published"}
    ),
    "group": Case(
        layers.BatchGroupNorm, variants.batch_group_norm, {"num_groups": 2, "examples_per_group": 2, "alpha": 0.0}
    ),
    "group weighed": Case(
        layers.BatchGroupNorm, variants.batch_group_norm, {"num_groups": 1, "examples_per_group": 3, "alpha": 0.25}
    ),
    "renorm": Case(layers.BatchRenorm, variants.batch_renorm, {"r_max": 1.1, "d_max": 0.3}),
    "representative": Case(layers.RepresentativeBatchNorm, variants.representative_batch_norm),
    "representative scaling": Case(
        layers.RepresentativeBatchNorm, variants.representative_batch_norm, {"centering": False}
    ),
    "representative minus": Case(
        layers.RepresentativeBatchNorm,
        variants.representative_batch_norm,
        {"centering": False, "instance_statistics": False},
    ),
    "enhancement": Case(layers.InstanceEnhancementBatchNorm, variants.instance_enhancement_batch_norm),
    "enhancement minus": Case(
        layers.InstanceEnhancementBatchNorm, variants.instance_enhancement_batch_norm, {"instance_statistics": False}
    ),
    "batch-instance": Case(layers.BatchInstanceNorm, variants.batch_instance_norm),
    "instance-batch": Case(layers.InstanceBatchNorm, variants.instance_batch_norm, {"ratio": 0.4}),
    "batch weighed": Case(layers.BatchWeighedBatchNorm, variants.batch_weighed_batch_norm),
    "batch weighed prior": Case(
        layers.BatchWeighedBatchNorm, variants.batch_weighed_batch_norm, {"prior": 9.0, "variant": "moments"}
    ),
    "batch weighed prior published": Case(
        layers.BatchWeighedBatchNorm, variants.batch_weighed_batch_norm, {"prior": 9.0, "variant": "published"}
    ),
    "batch weighed share": Case(
        layers.BatchWeighedBatchNorm, variants.batch_weighed_batch_norm, {"source_weight": 0.9}
    ),
    "batch weighed share published": Case(
        layers.BatchWeighedBatchNorm,
        variants.batch_weighed_batch_norm,
        {"source_weight": 0.3, "variant": "published"},
    ),
    "input": Case(layers.InputBatchNorm, variants.batch_norm),
    "A1": Case(layers.ScaledAffineBatchNorm, variants.scaled_affine_batch_norm, {"form": "A1"}),
    "A2": Case(layers.ScaledAffineBatchNorm, variants.scaled_affine_batch_norm, {"form": "A2"}),
}


def redrawn(layer: Any, seed: int = 0) -> Any:
    """``layer`` with parameters and statistics drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
            if name not in ("num_batches_tracked", "alpha"):
                low, high = (0.2, 3.0) if name == "running_var" else (-1.2, 1.2)
                tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * (high - low) + low)
    return layer


def draw(n: int, positions: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(n, C, *positions, generator=generator, dtype=torch.float64) * 1.7 + 0.6).to(dtype)
