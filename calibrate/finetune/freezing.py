"""Freezing: which parameters learn, and the three switches of batch normalisation layers.

``requires_grad = False`` does not freeze BatchNorm: it goes on normalising by the batch and updating its running
statistics. So there are three switches: whether γ and β learn (``affine``), whether running statistics are updated
(``statistics``), and which statistics normalise in training (``normalise``).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, get_args

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.errors import ModelError, UsageError
from calibrate.finetune.groups import parameter_roles
from calibrate.finetune.head import head_parameters, modules_of
from calibrate.surgery import Replacement, find_sites, is_batch_norm, place_
from calibrate.surgery.swap import replace_

Trainable = Literal["all", "head", "head_and_norms"]


def freeze_(model: nn.Module, trainable: Trainable, head: Sequence[str] = ()) -> None:
    """Let ``trainable`` learn, and no other parameter: all, the modules called ``head``, or these and all γ and β."""
    if trainable not in get_args(Trainable):
        raise UsageError(f"trainable is {trainable!r}; choose one of {', '.join(map(repr, get_args(Trainable)))}.")
    in_head = head_parameters(model, head)
    if trainable != "all" and not in_head:
        raise UsageError(
            f"trainable is {trainable!r}, and no module is named as the head, which would learn; name it, as "
            "`find_head` does."
        )
    for parameter, role in parameter_roles(model).items():
        of_norm = trainable == "head_and_norms" and role not in ("weights", "biases")
        parameter.requires_grad_(trainable == "all" or of_norm or id(parameter) in in_head)


def freeze_norms_(
    model: nn.Module,
    *,
    affine: bool = True,
    statistics: bool = True,
    normalise: Literal["batch", "running"] = "batch",
    head: Sequence[str] = (),
) -> nn.Module:
    """Freeze what is switched off in the normalisation layers outside ``head``, also under ``train()``.

    Without ``affine`` what they learn is frozen. Without ``statistics``, or with ``normalise`` "running", each batch
    normalisation layer becomes a SwitchedBatchNorm, in place of a variant too, whose own way of training is gone then.
    Layers that have no running statistics to freeze, such as GroupNorm, stay. Returns the network, as ``place_`` does.

    Raises ModelError for a layer whose statistics cannot be frozen, since it may do more than normalise.
    """
    own = {module for part in modules_of(model, head) for module in part.modules()}
    sites = [site for site in find_sites(model) if site.module not in own]
    if not affine:
        for site in sites:
            for parameter in site.module.parameters(recurse=False):
                parameter.requires_grad_(False)
    if statistics and normalise == "batch":
        return model
    tracking = [site for site in sites if isinstance(site.module, _BatchNorm) and site.module.running_mean is not None]
    for site in tracking:
        if not is_batch_norm(site.module):
            raise ModelError(
                f"{site.name} is a {type(site.module).__name__}, which may do something else than normalise by its "
                "batch, so its statistics cannot be frozen; leave `statistics` and `normalise` as they are in training."
            )
    switched = Replacement("SwitchedBatchNorm", {"update_statistics": statistics, "normalise": normalise})
    return place_(model, {site.name: switched for site in tracking})


@contextmanager
def frozen(
    model: nn.Module,
    trainable: Trainable = "all",
    head: Sequence[str] = (),
    *,
    affine: bool = True,
    statistics: bool = True,
    normalise: Literal["batch", "running"] = "batch",
) -> Iterator[nn.Module]:
    """Both of the above for a phase of training; every exit gives back the layers and what learned before.

    The layers that come back have learned: they share parameters and statistics with those that took their places.
    Do not move the network meanwhile, which would part them. An optimiser of the phase is made inside.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 4))
    >>> with frozen(model, "head", ["2"], statistics=False, normalise="running"):
    ...     print([name for name, p in model.named_parameters() if p.requires_grad], type(model[1]).__name__)
    ['2.weight', '2.bias'] SwitchedBatchNorm
    >>> type(model[1]).__name__, all(p.requires_grad for p in model.parameters())
    ('BatchNorm1d', True)
    """
    learning = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    sites = find_sites(model)
    try:
        freeze_(model, trainable, head)
        yield freeze_norms_(model, affine=affine, statistics=statistics, normalise=normalise, head=head)
    finally:
        for parameter, learned in learning:
            parameter.requires_grad_(learned)
        for site in sites:
            present = model.get_submodule(site.name)
            replace_(model, replace(site, module=present), site.module.train(present.training))
