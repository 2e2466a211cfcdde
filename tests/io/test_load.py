"""A checkpoint is loaded as a whole, or the network stays as it was and the reader is told why."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from calibrate.errors import ModelError
from calibrate.io import build, cifar_resnet, closest, fingerprint, read_checkpoint
from calibrate.io.closest_architecture import NoMemory
from tests.builders.checkpoints import alone, load_
from tests.builders.networks import Tied, Wrapped, convolutional, warmed_up


def trained(model: nn.Module, seed: int = 1) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in warmed_up(copy.deepcopy(model), seed).state_dict().items()}


def refused(model: nn.Module, state: dict[str, Tensor], architecture: str = "my:net") -> str:
    """The error, after making sure that the network is untouched."""
    before, dtypes = fingerprint(model.state_dict()), [p.dtype for p in model.parameters()]
    with pytest.raises(ModelError) as caught:
        load_(model, alone(state), architecture)
    assert fingerprint(model.state_dict()) == before
    assert [p.dtype for p in model.parameters()] == dtypes
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["cifar/resnet8", "torchvision/mnasnet0_5", "torchvision/shufflenet_v2_x0_5"])
def test_the_state_dict_comes_back(tmp_path: Path, name: str) -> None:
    """Through safetensors, which keeps no module versions: MNASNet asks for one."""
    model, state = build(name, {"num_classes": 5}), trained(build(name, {"num_classes": 5}))
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    load_(model, read_checkpoint(tmp_path / "w.safetensors"), name)
    assert fingerprint(model.state_dict()) == fingerprint(state)


def test_the_network_does_not_hold_on_to_the_checkpoint() -> None:
    model = cifar_resnet(8)
    state = trained(model)
    load_(model, alone(state), "cifar/resnet8")
    state["linear.bias"].add_(1)
    assert not torch.equal(model.linear.bias, state["linear.bias"])


def test_older_files_do_without_batch_counters() -> None:
    model, state = convolutional(), trained(convolutional())
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    load_(model, alone(old))
    assert fingerprint(model.state_dict()) == fingerprint(state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_file_decides_the_precision(dtype: torch.dtype) -> None:
    """Also where a script converted the counters too, and where single buffers are more precise."""
    model = convolutional()
    model.register_buffer("temperature", torch.tensor(1.0))
    state = {name: tensor.to(dtype) for name, tensor in trained(model).items()}
    state["temperature"] = torch.tensor(1.2345678, dtype=torch.float32)
    load_(model, alone(state))
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name].to(tensor.dtype))
        assert tensor.dtype == (torch.int64 if name.endswith("tracked") else state[name].dtype)


def test_mixed_precision_becomes_the_networks() -> None:
    model, state = convolutional(), trained(convolutional())
    state["0.weight"] = state["0.weight"].half()
    load_(model, alone(state))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.equal(model[0].weight, state["0.weight"].float())


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_a_networks_own_prefix_is_found_again(tmp_path: Path, prefix: str) -> None:
    model, state = Wrapped(), trained(convolutional())
    torch.save({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "w.pth")
    load_(model, read_checkpoint(tmp_path / "w.pth"))
    assert fingerprint(model.model.state_dict()) == fingerprint(state)


def test_a_tied_network_loads_from_all_names_or_one(tmp_path: Path) -> None:
    state = trained(Tied())
    once = {name: tensor for name, tensor in state.items() if not name.startswith(("again.", "head."))}
    for given in (state, once):
        model = Tied()
        load_(model, alone(given))
        assert fingerprint(model.state_dict()) == fingerprint(state)
        assert model.norm is model.again["norm"]


def test_a_tied_network_stays_tied_in_another_precision() -> None:
    model = Tied()
    model.logits = nn.Linear(4, 4)
    model.logits.weight = model.head.weight
    load_(model, alone({k: v.half() for k, v in trained(model).items()}))
    assert model.logits.weight is model.head.weight
    assert model.logits.weight.dtype == torch.float16


@pytest.mark.parametrize("name", ["norm.running_mean", "logits.weight"])
def test_different_values_for_one_tensor_are_refused(name: str) -> None:
    state = trained(Tied())
    state[name] = state[name] + 1
    other = {"norm.running_mean": "again.norm.running_mean", "logits.weight": "head.weight"}[name]
    message = refused(Tied(), state)
    assert name in message
    assert other in message


def test_a_mismatch_is_counted_in_full_and_listed_in_part() -> None:
    state = trained(cifar_resnet(8))
    missing = [name for name in state if name.startswith("layer2.") and not name.endswith("tracked")]
    for name in missing:
        del state[name]
    state["linear.weight"] = torch.zeros(10, 65)
    state["head.bias"] = torch.zeros(3)
    message = refused(cifar_resnet(8), state, "cifar/resnet8")
    assert "w.pth do not fit cifar/resnet8" in message
    assert f"{len(missing)} missing from the file: {', '.join(missing[:5])}, ...;" in message
    assert missing[5] not in message
    assert "1 not in the network: head.bias;" in message
    assert "1 of another shape or kind: linear.weight (float32 (10, 65) in the file, float32 (10, 64) in" in message


def test_integers_are_no_weights() -> None:
    state = trained(convolutional())
    state["0.weight"] = state["0.weight"].to(torch.int8)
    assert re.search(r"0\.weight \(int8 .* float32 ", refused(convolutional(), state))


def test_alpha_without_a_place_is_unexpected() -> None:
    state = {**trained(convolutional()), "1.alpha": torch.tensor(0.1)}
    assert "1 not in the network: 1.alpha" in refused(convolutional(), state)


@pytest.mark.parametrize(
    ("made", "made_args", "opened", "advice"),
    [
        ("cifar/resnet20", {}, "cifar/resnet14", "cifar/resnet20"),
        ("cifar/resnet8", {"num_classes": 7, "in_channels": 1}, "cifar/resnet8", "num_classes=7, in_channels=1"),
        ("torchvision/resnet18", {"num_classes": 10}, "torchvision/resnet18", "torchvision/resnet18 with num_cl"),
        ("torchvision/resnet18", {}, "cifar/resnet20", "torchvision/resnet18 best"),
        ("torchvision/vgg11_bn", {}, "torchvision/resnet18", "torchvision/vgg11_bn best"),
    ],
)
def test_the_architecture_that_fits_is_named(made: str, made_args: dict[str, Any], opened: str, advice: str) -> None:
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in build(made, made_args).state_dict().items()}
        model = build(opened, {})
    state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    with pytest.raises(ModelError, match=f"The file fits .*{advice}"):
        load_(model, alone(state), opened)


def test_an_unknown_network_is_like_none() -> None:
    assert closest(convolutional().state_dict()) is None
    assert "No torchvision or CIFAR architecture" in refused(cifar_resnet(8), trained(convolutional()))


def test_closeness_sees_through_what_tuning_and_wrapping_add() -> None:
    state = {f"module.{name}": tensor for name, tensor in cifar_resnet(14).state_dict().items()}
    state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    norms = [name.removesuffix(".running_var") for name in state if name.endswith(".running_var")]
    state |= {f"{norm}.alpha": torch.tensor(0.1) for norm in norms}
    assert closest(state) == "cifar/resnet14"


def test_ninety_per_cent_are_close_enough_and_fewer_are_not() -> None:
    state = cifar_resnet(20).state_dict()
    counted = [name for name in state if not name.endswith("num_batches_tracked")]
    for lost, answer in ((5, "cifar/resnet20"), (15, None)):
        kept = counted[:40] + counted[40 + lost :]  # of 97, from the middle
        assert closest({name: state[name] for name in kept}) == answer


@pytest.mark.parametrize("name", ["torchvision/regnet_y_128gf", "torchvision/vgg19_bn"])
def test_candidates_are_built_without_memory_for_their_weights(name: str) -> None:
    with NoMemory():
        model = build(name, {})
    assert all(parameter.is_meta for parameter in model.parameters())
