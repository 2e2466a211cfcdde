"""Fine-tuning: what is added to the loss, what learns and how fast, one published method a file."""

from calibrate.finetune.affine_decay import AffineDecay
from calibrate.finetune.freezing import Trainable, freeze_, freeze_norms_, frozen
from calibrate.finetune.head import find_head, head_parameters
from calibrate.finetune.l2_sp import L2SP
from calibrate.finetune.parameter_groups import Role, parameter_groups, parameter_roles
from calibrate.finetune.penalty import Penalty

__all__ = [
    "L2SP",
    "AffineDecay",
    "Penalty",
    "Role",
    "Trainable",
    "find_head",
    "freeze_",
    "freeze_norms_",
    "frozen",
    "head_parameters",
    "parameter_groups",
    "parameter_roles",
]
