"""The table of layers that can be placed where a network has BatchNorm."""

from calibrate.nn.batch_group_norm import BatchGroupNorm
from calibrate.nn.batch_instance_norm import BatchInstanceNorm
from calibrate.nn.batch_renorm import BatchRenorm
from calibrate.nn.batch_weighed import BatchWeighedBatchNorm
from calibrate.nn.example_weighed import ExampleWeighedBatchNorm
from calibrate.nn.ghost_batch_norm import GhostBatchNorm
from calibrate.nn.group_norms import group_norm, instance_norm
from calibrate.nn.input_batch_norm import InputBatchNorm
from calibrate.nn.instance_batch_norm import InstanceBatchNorm
from calibrate.nn.instance_enhancement_batch_norm import InstanceEnhancementBatchNorm
from calibrate.nn.layer_spec import LayerSpec
from calibrate.nn.representative_batch_norm import RepresentativeBatchNorm
from calibrate.nn.scaled_affine_batch_norm import ScaledAffineBatchNorm
from calibrate.nn.stoch_norm import StochNorm
from calibrate.nn.switched_batch_norm import SwitchedBatchNorm

LAYERS: dict[str, LayerSpec] = {
    "ExampleWeighedBatchNorm": LayerSpec(ExampleWeighedBatchNorm),
    "StochNorm": LayerSpec(StochNorm),
    "SwitchedBatchNorm": LayerSpec(SwitchedBatchNorm),
    "GhostBatchNorm": LayerSpec(GhostBatchNorm),
    "BatchGroupNorm": LayerSpec(BatchGroupNorm),
    "BatchRenorm": LayerSpec(BatchRenorm),
    "RepresentativeBatchNorm": LayerSpec(RepresentativeBatchNorm),
    "InstanceEnhancementBatchNorm": LayerSpec(InstanceEnhancementBatchNorm),
    "BatchInstanceNorm": LayerSpec(BatchInstanceNorm),
    "InstanceBatchNorm": LayerSpec(InstanceBatchNorm),
    "BatchWeighedBatchNorm": LayerSpec(BatchWeighedBatchNorm),
    "InputBatchNorm": LayerSpec(InputBatchNorm),
    "ScaledAffineBatchNorm": LayerSpec(ScaledAffineBatchNorm),
    "GroupNorm": LayerSpec(group_norm),
    "InstanceNorm": LayerSpec(instance_norm),
}
