"""What is left out of a file: a warning where predictions may need it, and nothing refused for what they do not."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from calibrate.errors import ModelError
from calibrate.io import TakenWeights, fit_weights, read_checkpoint
from tests.builders.checkpoints import alone, load_
from tests.builders.networks import convolutional, warmed_up


class Normalize(nn.Module):
    """Mean and deviation as buffers, as networks that take raw pixels have them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 1, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, 1, 1, 1), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


NETWORK = warmed_up(convolutional())
AROUND: dict[str, tuple[nn.Module, str]] = {
    "BatchNorm before": (nn.Sequential(warmed_up(nn.BatchNorm2d(1)), NETWORK), r"4 entries, 0\.\* \(4\)"),
    "Normalize before": (nn.Sequential(Normalize(), NETWORK), r"2 entries, 0\.\* \(2\)"),
    "head behind": (nn.Sequential(NETWORK, nn.Linear(3, 3)), r"2 entries, 1\.\* \(2\)"),
    "nested": (nn.Sequential(nn.Sequential(Normalize(), NETWORK), nn.ReLU()), r"2 entries, 0\.\* \(2\)"),
}


def warning_of(found: TakenWeights) -> str:
    """The one warning of what was taken; empty where there is none."""
    warnings = [finding.message for finding in found.findings if finding.severity == "warning"]
    assert len(warnings) <= 1
    return "".join(warnings)


@pytest.mark.parametrize("case", AROUND)
def test_weights_in_front_of_the_network_or_behind_it_are_a_warning(case: str) -> None:
    whole, said = AROUND[case]
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(whole.eval()(x), NETWORK.eval()(x), atol=1e-3)  # predictions need them
    found = fit_weights(convolutional(), alone(whole.state_dict()))
    assert all(torch.equal(found.state[name], tensor) for name, tensor in NETWORK.state_dict().items())
    assert re.search(said, warning_of(found))
    assert "name the architecture that has them" in warning_of(found)


@pytest.mark.parametrize("around", ["", "state.", "a.b."])
def test_a_head_that_was_saved_as_a_state_dict_of_its_own_is_a_warning_too(around: str, tmp_path: Path) -> None:
    document: Any = {"encoder": NETWORK.state_dict(), "head": nn.Linear(3, 3).state_dict(), "epoch": 3}
    for key in reversed(around.split(".")[:-1]):
        document = {key: document}
    torch.save(document, tmp_path / "w.pth")
    found = fit_weights(convolutional(), read_checkpoint(tmp_path / "w.pth"))
    assert f"{around}head.weight" in found.doubtful
    assert "2 entries" in warning_of(found)


QUIET: dict[str, dict[str, Tensor]] = {
    "class weights": {"criterion.weight": torch.ones(3)},
    "a loss": {"focalLoss.alpha": torch.ones(3), "val_loss.vgg.0.weight": torch.ones(2, 2)},
    "metrics": {"train_metrics.confusion": torch.ones(3, 3)},
    "an average that does not fit": {"model_ema.0weight": torch.ones(4, 1, 3, 3)},
    "counters": {"n_averaged": torch.tensor(3), "head.num_batches_tracked": torch.tensor(3), "step": torch.tensor(0.1)},
    "another whole network with a head of its own": {
        **{f"student.net.{name}": tensor + 1 for name, tensor in NETWORK.state_dict().items()},
        "student.head.weight": torch.ones(3, 3),
    },
}


@pytest.mark.parametrize("case", QUIET)
def test_what_is_of_training_or_of_another_network_is_no_warning(case: str) -> None:
    state = {f"model.{name}": tensor for name, tensor in NETWORK.state_dict().items()}
    found = fit_weights(convolutional(), alone({**state, **QUIET[case]}), "model")
    assert all(torch.equal(found.state[name], tensor) for name, tensor in NETWORK.state_dict().items())
    assert (found.doubtful, warning_of(found)) == ((), "")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_counters_in_any_part_are_left_out_and_named(prefix: str) -> None:
    state = dict(NETWORK.state_dict())
    parts = {name: part for name, part in NETWORK.named_modules(prefix="x") if part is not NETWORK}
    for name in ("", *(name.removeprefix("x.") for name in parts)):
        for counter in ("total_ops", "total_params", "num_batches_tracked"):
            state.setdefault(f"{name}.{counter}".lstrip("."), torch.zeros(1).double())
    model = convolutional()
    load_(model, alone({prefix + name: tensor for name, tensor in state.items()}))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in NETWORK.state_dict().items())
    found = fit_weights(model, alone(state))
    assert sum(name.endswith("total_ops") for name in found.left_out) == len(parts) + 1


@pytest.mark.parametrize(
    "entry", ["1.activation_post_process.min_val", "0.weight_fake_quant.scale", "0.fq_quantizer._amax"]
)
def test_observers_in_parts_are_left_out_with_a_warning(entry: str) -> None:
    found = fit_weights(convolutional(), alone({**NETWORK.state_dict(), entry: torch.ones(2)}))
    assert found.observers == (entry,)
    assert "quantisation-aware" in warning_of(found)


@pytest.mark.parametrize(
    ("spelling", "last"),
    [("block{}_conv", "weight"), ("conv2d_{}", "weight"), ("s{}b1", "weight"), ("{}", "weight"), ("", "w{}")],
)
def test_a_deeper_file_is_no_shallower_networks_however_its_parts_are_numbered(spelling: str, last: str) -> None:
    def network(depth: int) -> nn.Module:
        net = nn.Module()
        for i in range(depth):
            part = net if not spelling else nn.Module()
            part.register_parameter(last.format(i), nn.Parameter(torch.full((2,), float(i))))
            if spelling:
                net.add_module(spelling.format(i), part)
        return net

    load_(network(4), alone(network(4).state_dict()))
    fifth = f"{spelling}.{last}".lstrip(".").format(4)
    with pytest.raises(ModelError, match=rf"not in the network: {re.escape(fifth)}\b"):
        load_(network(4), alone(network(5).state_dict()))


def test_older_densenet_names_are_respelled_only_for_a_network_that_spells_them_anew() -> None:
    old, new = "denseblock1.denselayer2.norm.1", "denseblock1.denselayer2.norm1"

    def named(path: str) -> nn.Module:
        module: nn.Module = nn.BatchNorm1d(2)
        for part in reversed(path.split(".")):
            module = nn.ModuleDict({part: module})
        return module

    for file, network in ((old, new), (new, new), (old, old)):
        found = fit_weights(named(network), alone(named(file).state_dict()))
        assert found.state.keys() == named(network).state_dict().keys()
        assert found.findings == ()
