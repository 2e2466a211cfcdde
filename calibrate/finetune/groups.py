"""Parameter groups: what learns at which rate and what decays, told by the type of the module.

Reference: Davis & Frank, Revisiting Batch Normalization, §3.2 and 4 (γ, no decay); Kou, You, Long & Wang, Stochastic
Normalization, §5.1 (head); Nam & Kim, Batch-Instance Normalization (gates).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn

from calibrate.errors import UsageError
from calibrate.finetune.head import head_parameters
from calibrate.nn import BatchInstanceNorm
from calibrate.surgery import find_sites

#: What a parameter is; ``others`` is what normalisation layers learn beside γ, β and the gates of BatchInstanceNorm.
Role = Literal["weights", "biases", "gamma", "beta", "gates", "others"]

NORMALISING: Mapping[str, Role] = {"weight": "gamma", "bias": "beta"}
GATE_LR_FACTOR = 10.0


def parameter_groups(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float = 0.0,
    head: Sequence[str] = (),
    head_lr_factor: float = 10.0,
    gamma_lr_divisor: float = 1.0,
    decay_norm: bool = False,
    decay_bias: bool = False,
) -> list[dict[str, Any]]:
    """The trainable parameters of ``model``, each in one group of an optimiser, which has a ``name``.

    A rate is ``lr``, over ``gamma_lr_divisor`` for γ, tenfold for the gates of BatchInstanceNorm, and times
    ``head_lr_factor`` in the modules called ``head``. ``weight_decay`` is for weights; with ``decay_norm`` for all that
    normalisation layers learn but gates; with ``decay_bias`` for biases. γ and β are those of batch and group
    normalisation layers: other layers with one value for each channel, such as LayerNorm and PReLU, have weights and
    biases. A tied parameter is what it is found as first, and the head's if the head has it too. A group without a
    parameter is left out.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 4))
    >>> [(group["name"], group["lr"]) for group in parameter_groups(model, lr=0.5, head=["2"], gamma_lr_divisor=100)]
    [('weights', 0.5), ('biases', 0.5), ('gamma', 0.005), ('beta', 0.5), ('head weights', 5.0), ('head biases', 5.0)]
    """
    for name, value in {"head_lr_factor": head_lr_factor, "gamma_lr_divisor": gamma_lr_divisor}.items():
        if not value > 0:
            raise UsageError(f"{name} is {value}; learning rates are multiplied or divided by it, so keep it above 0.")
    rates: dict[Role, float] = {"gamma": lr / gamma_lr_divisor, "gates": lr * GATE_LR_FACTOR}
    decays: dict[Role, bool] = {
        "weights": True,
        "biases": decay_bias,
        "gamma": decay_norm,
        "beta": decay_norm,
        "gates": False,
        "others": decay_norm,
    }
    in_head = head_parameters(model, head)
    roles = parameter_roles(model)
    groups = []
    for of_head in (False, True):
        for role, decay in decays.items():
            parameters = [
                p for p, its in roles.items() if p.requires_grad and its == role and (id(p) in in_head) == of_head
            ]
            if parameters:
                groups.append(
                    {
                        "name": f"head {role}" if of_head else role,
                        "params": parameters,
                        "lr": rates.get(role, lr) * (head_lr_factor if of_head else 1.0),
                        "weight_decay": weight_decay if decay else 0.0,
                    }
                )
    return groups


def parameter_roles(model: nn.Module) -> dict[nn.Parameter, Role]:
    """What each parameter is, in the order of the network's definition; a tied one is what it is found as first.

    >>> list(parameter_roles(nn.Sequential(nn.PReLU(), nn.BatchNorm1d(3), nn.LayerNorm(3))).values())
    ['weights', 'gamma', 'beta', 'weights', 'biases']
    """
    normalising = {site.module for site in find_sites(model)}
    roles: dict[nn.Parameter, Role] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            roles.setdefault(parameter, _role(module, name, module in normalising))
    return roles


def _role(module: nn.Module, name: str, normalises: bool) -> Role:
    if not normalises:
        return "biases" if "bias" in name else "weights"  # torch's names are bias, in_proj_bias, bias_ih_l0
    if isinstance(module, BatchInstanceNorm) and name == "gate":
        return "gates"
    return NORMALISING.get(name, "others")
