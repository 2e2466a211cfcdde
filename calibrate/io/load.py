"""Loading what a network takes of a file: all of it, or nothing."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from calibrate.errors import ModelError, said
from calibrate.io.closest_architecture import closest
from calibrate.io.fitting.places import LIKE_TORCH, Places, places_of
from calibrate.io.fitting.taken_weights import TakenWeights, first_of
from calibrate.io.foreign_files import of_several


def load_weights_(model: nn.Module, taken: TakenWeights, path: Path, architecture: str) -> None:
    """Load into ``model`` what it takes of a file, strictly; on a misfit ``model`` stays as it was.

    ``taken`` is what :func:`~calibrate.io.fit_weights` gives. Older files lack ``num_batches_tracked``, which
    is let pass, as it is where the network's layer is frozen and has none. A tied tensor may be stored under one of its
    names only. The file decides the precision: where it has all parameters in one floating dtype, ``model`` takes that
    dtype, and its buffers take the file's; a file of mixed dtypes is converted to those of ``model``. ``path`` and
    ``architecture`` name the file and the network in errors.
    """
    places = places_of(model)
    _refuse_mismatch(places, taken.state, path, architecture)
    state = {name: tensor for name, tensor in taken.state.items() if name in places.tensors}
    _refuse_different_ties(state, places.ties, path)
    _take_dtype_(model, state)
    whole: dict[str, Any] = model.state_dict()  # whose version metadata is the present one, which older files lack
    whole.update({name: state[stored] for name in places.tensors for stored in places.ties[name] if stored in state})
    whole.update(state)
    try:
        model.load_state_dict(whole)
    except Exception as error:  # whatever its own code raises
        raise ModelError(f"{architecture} cannot load its weights: {said(error)}; {LIKE_TORCH}.") from error
    _refuse_unloaded(places_of(model), state, path, architecture)
    _recompute_(model)


def _refuse_unloaded(places: Places, state: Mapping[str, Tensor], path: Path, architecture: str) -> None:
    """Raise ModelError unless the places hold what they were given, which a network's own loading may pass over."""
    for name, tensor in state.items():
        held = places.tensors[name].detach()
        if not torch.equal(_bits(held), _bits(tensor.to(held.dtype))):
            raise ModelError(
                f"{architecture} was given the weights in {path}, and holds other values for {name} than the file: its "
                f"own loading passes over or changes them; {LIKE_TORCH}."
            )


def _recompute_(model: nn.Module) -> None:
    """Compute the weights that torch's pruning and normalising hooks compute, which else are of before the loading.

    They would be computed at the next forward pass; but a network is read and copied before.
    """
    with torch.no_grad():
        for module in model.modules():
            for hook in () if module.training else module._forward_pre_hooks.values():
                if isinstance(hook, (BasePruningMethod, WeightNorm, SpectralNorm)):
                    hook(module, ())


def _refuse_mismatch(places: Places, state: Mapping[str, Tensor], path: Path, architecture: str) -> None:
    missing, unexpected = places.missing(state), places.unexpected(state)
    unlike = [
        f"{name} ({_kind(state[name])} in the file, {_kind(places.tensors[name])} in the network)"
        for name in places.unlike(state)
    ]
    if not (missing or unexpected or unlike):
        return
    lists = (
        ("missing from the file", missing),
        ("not in the network", unexpected),
        ("of another shape or kind", unlike),
    )
    differences = "; ".join(f"{len(names)} {what}: {first_of(names)}" for what, names in lists if names)
    if foreign := next((name for name in unexpected if ".parametrizations." in f".{name}"), None):
        differences += f"; {foreign} belongs to a parametrisation that only its own class can compute"
    match = closest(state)
    advice = f"The file fits {match} best" if match else "No torchvision or CIFAR architecture comes close to the file"
    raise ModelError(
        f"the weights in {path} do not fit {architecture}: {differences}. {advice}; give the architecture, "
        f"with its arguments, that the file was saved from.{of_several(path) if missing else ''}"
    )


def _refuse_different_ties(state: Mapping[str, Tensor], ties: Mapping[str, tuple[str, ...]], path: Path) -> None:
    for names in ties.values():
        first, *others = [name for name in names if name in state] or [""]
        for other in others:
            if not torch.equal(_bits(state[first]), _bits(state[other])):
                raise ModelError(
                    f"{path} has different values for {first} and {other}, which are one tensor in the "
                    "network; give the architecture that the file was saved from."
                )


def _take_dtype_(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    dtypes = {state[name].dtype for name, parameter in model.named_parameters(remove_duplicate=False) if name in state}
    if len(dtypes) != 1:
        return
    model.to(dtypes.pop())
    for name, buffer in model.named_buffers():
        if name in state and buffer.is_floating_point() and state[name].is_floating_point():
            buffer.data = buffer.data.to(state[name].dtype)


def _kind(tensor: Tensor) -> str:
    shape = "of any shape" if is_lazy(tensor) else tuple(tensor.shape)
    return f"{str(tensor.dtype).removeprefix('torch.')} {shape}"


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def fingerprint(state: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, over each tensor's name, dtype, shape and bytes, in the order of the names.

    The same weights have the same fingerprint on every device and in every memory layout. What is no tensor, such as
    the extra state of a module, does not count.

    >>> fingerprint({"w": torch.zeros(2)}) == fingerprint({"w": torch.zeros(2, 2)[:, 1]})
    True
    """
    digest = hashlib.sha256()
    for name in sorted(name for name, value in state.items() if isinstance(value, Tensor)):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
