"""Fine-tuning: what is added to the loss, what learns and how fast, one published method a file."""

from calibrate.finetune.affine_decay import AffineDecay
from calibrate.finetune.attention import channel_attention
from calibrate.finetune.bss import BSS
from calibrate.finetune.delta import Delta
from calibrate.finetune.freezing import Trainable, freeze_, freeze_norms_, frozen
from calibrate.finetune.groups import Role, parameter_groups, parameter_roles
from calibrate.finetune.head import find_head, head_parameters
from calibrate.finetune.l2_sp import L2SP
from calibrate.finetune.loop import TrainingLoop, md5_seed, train_
from calibrate.finetune.mixed_batches import mixup
from calibrate.finetune.penalties import PENALTIES, make_penalties
from calibrate.finetune.penalty import Penalty
from calibrate.finetune.schedules import SCHEDULES
from calibrate.finetune.state import StateFile, TrainingState
from calibrate.finetune.weight_histograms import LayerHistory, WeightHistograms

__all__ = [
    "BSS",
    "L2SP",
    "PENALTIES",
    "SCHEDULES",
    "AffineDecay",
    "Delta",
    "LayerHistory",
    "Penalty",
    "Role",
    "StateFile",
    "Trainable",
    "TrainingLoop",
    "TrainingState",
    "WeightHistograms",
    "channel_attention",
    "find_head",
    "freeze_",
    "freeze_norms_",
    "frozen",
    "head_parameters",
    "make_penalties",
    "md5_seed",
    "mixup",
    "parameter_groups",
    "parameter_roles",
    "train_",
]
