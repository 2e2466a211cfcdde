"""Checkpoints of networks that were changed for training: pruned, parametrised, made aware of quantisation."""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.ao import quantization
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from tests.builders.layouts.layout import Layout, State, Written, network, optimizer, prefixed, saved

#: torch computes norms in another order in one place than in another.
NEARLY = 1e-6


def convolutions(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def effective(model: nn.Module) -> State:
    """What each layer computes with, once in evaluation mode; as the plain network names it."""
    model.eval()
    model(torch.zeros(1, 1, 8, 8))
    state = {}
    for name in network().state_dict():
        module, _, kind = name.rpartition(".")
        state[name] = getattr(model.get_submodule(module), kind).detach().clone()
    return state


def changed(folder: Path, change: Callable[[nn.Module], object], tolerance: float = NEARLY) -> Written:
    """The trained network with each convolution changed, after a step of training."""
    with warnings.catch_warnings(action="ignore"):
        torch.manual_seed(0)
        model = network()
        for layer in convolutions(model):
            change(layer)
        model.train()(torch.rand(4, 1, 8, 8))
        document = {"state_dict": model.state_dict(), "optimizer": optimizer()}
        return Written(saved(folder / "model.pt", document), {"state_dict": effective(model)}, tolerance)


def pruned(folder: Path) -> Written:
    return changed(folder, lambda layer: prune.l1_unstructured(layer, "weight", 0.3), 0.0)


def pruned_channels(folder: Path) -> Written:
    """By channels, in a LightningModule, and the linear layer too."""
    model = network()
    for layer in [*convolutions(model), model.get_submodule("linear")]:
        prune.ln_structured(layer, "weight", 0.25, n=2, dim=1)
    path = saved(folder / "pruned.ckpt", {"state_dict": prefixed(model.state_dict(), "model.")})
    return Written(path, {"state_dict": effective(model)})


def old_weight_norm(folder: Path) -> Written:
    return changed(folder, weight_norm)


def new_weight_norm(folder: Path) -> Written:
    return changed(folder, parametrizations.weight_norm)


def old_spectral_norm(folder: Path) -> Written:
    return changed(folder, spectral_norm)


def new_spectral_norm(folder: Path) -> Written:
    return changed(folder, parametrizations.spectral_norm)


def quantisation_aware(folder: Path) -> Written:
    """Fake quantisers beside the weights; these are the network's before anything is rounded."""
    with warnings.catch_warnings(action="ignore"):
        model = network().train()
        model.qconfig = quantization.get_default_qat_qconfig("fbgemm")  # type: ignore[assignment]
        quantization.prepare_qat(model, inplace=True)
        model(torch.rand(4, 1, 8, 8))
        state = model.state_dict()
        path = saved(folder / "qat.pth", {"model": state, "epoch": 2})
    plain = OrderedDict((name, state[name].clone()) for name in network().state_dict())
    return Written(path, {"model": plain})


LAYOUTS: dict[str, Layout] = {
    "pruned": pruned,
    "pruned by channels": pruned_channels,
    "weight_norm": old_weight_norm,
    "weight_norm, parametrised": new_weight_norm,
    "spectral_norm": old_spectral_norm,
    "spectral_norm, parametrised": new_spectral_norm,
    "aware of quantisation": quantisation_aware,
}
