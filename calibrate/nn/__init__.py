"""Normalisation layers, one published method a file, over shared formulas."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from calibrate.nn.batch_group_norm import BatchGroupNorm
from calibrate.nn.batch_instance_norm import BatchInstanceNorm, clamp_gates_
from calibrate.nn.batch_norm_variant import BatchNormVariant
from calibrate.nn.batch_renorm import BatchRenorm, batch_renorm_limits
from calibrate.nn.batch_weighed import BatchWeighedBatchNorm
from calibrate.nn.example_weighed import ExampleWeighedBatchNorm
from calibrate.nn.example_weighed_act import ExampleWeighedBatchNormAct, ExampleWeighedGroupNormAct
from calibrate.nn.example_weighed_group_norm import ExampleWeighedGroupNorm
from calibrate.nn.example_weighed_own import ExampleWeighedOwnBatchNorm, weigh_own
from calibrate.nn.example_weight import ExampleWeighed
from calibrate.nn.ghost_batch_norm import GhostBatchNorm
from calibrate.nn.group_norms import group_norm, instance_norm
from calibrate.nn.input_batch_norm import InputBatchNorm
from calibrate.nn.instance_batch_norm import InstanceBatchNorm
from calibrate.nn.instance_enhancement_batch_norm import InstanceEnhancementBatchNorm
from calibrate.nn.layer_spec import LayerSpec
from calibrate.nn.layers import LAYERS
from calibrate.nn.representative_batch_norm import RepresentativeBatchNorm
from calibrate.nn.scaled_affine_batch_norm import ScaledAffineBatchNorm
from calibrate.nn.stoch_norm import StochNorm
from calibrate.nn.switched_batch_norm import SwitchedBatchNorm
from calibrate.nn.whitened_example_weighed import WhitenedExampleWeighed

if TYPE_CHECKING:
    from calibrate.nn.example_weighed_frozen import ExampleWeighedFrozenBatchNorm, ExampleWeighedFrozenBatchNormAct

__all__ = [
    "LAYERS",
    "BatchGroupNorm",
    "BatchInstanceNorm",
    "BatchNormVariant",
    "BatchRenorm",
    "BatchWeighedBatchNorm",
    "ExampleWeighed",
    "ExampleWeighedBatchNorm",
    "ExampleWeighedBatchNormAct",
    "ExampleWeighedFrozenBatchNorm",
    "ExampleWeighedFrozenBatchNormAct",
    "ExampleWeighedGroupNorm",
    "ExampleWeighedGroupNormAct",
    "ExampleWeighedOwnBatchNorm",
    "GhostBatchNorm",
    "InputBatchNorm",
    "InstanceBatchNorm",
    "InstanceEnhancementBatchNorm",
    "LayerSpec",
    "RepresentativeBatchNorm",
    "ScaledAffineBatchNorm",
    "StochNorm",
    "SwitchedBatchNorm",
    "WhitenedExampleWeighed",
    "batch_renorm_limits",
    "clamp_gates_",
    "group_norm",
    "instance_norm",
    "weigh_own",
]

#: Subclasses of torchvision's layer, which load on first use: torchvision takes as long to import as torch.
_FROZEN = ("ExampleWeighedFrozenBatchNorm", "ExampleWeighedFrozenBatchNormAct")


def __getattr__(name: str) -> Any:
    if name not in _FROZEN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("calibrate.nn.example_weighed_frozen"), name)
