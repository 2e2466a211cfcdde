"""A checkpoint is read by its content, wherever training scripts put the weights and whatever they put around them."""

import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from calibrate.errors import ModelError
from calibrate.io import read_checkpoint
from tests.builders.checkpoints import read_state

STATE = {
    "conv.weight": torch.arange(12.0).reshape(3, 1, 2, 2),
    "bn.running_var": torch.tensor([1.0, 2.0, 3.0], dtype=torch.bfloat16),
    "bn.num_batches_tracked": torch.tensor(5),
    "mask": torch.tensor([True, False]),
}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and torch.equal(left[name], right[name]) for name in left
    )


def old_format(document: Any, path: Path) -> None:
    torch.save(document, path, _use_new_zipfile_serialization=False)


def protocol_3(document: Any, path: Path) -> None:
    torch.save(document, path, pickle_protocol=3)


@pytest.mark.parametrize("write", [torch.save, old_format, protocol_3, safetensors.torch.save_file])
@pytest.mark.parametrize("name", ["w.pth", "w.tar", "w.bin", "w.safetensors", "w", "w.jpg"])
def test_the_name_of_the_file_says_nothing(tmp_path: Path, write: Callable[[Any, Path], None], name: str) -> None:
    write(STATE, tmp_path / name)
    read = read_checkpoint(tmp_path / name)
    assert same(read.state_dicts[0].tensors, STATE)
    assert (read.path, read.metadata) == (tmp_path / name, {})


def test_metadata_are_kept(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "w.pt", {"afternorm": "{}", "format": "pt"})
    assert read_checkpoint(tmp_path / "w.pt").metadata == {"afternorm": "{}", "format": "pt"}


WRAPPED: dict[str, Any] = {
    **{
        name: {name: STATE, "epoch": 3, "optimizer": {"state": {}, "lr": 0.1}, "arch": "net", "rng": torch.zeros(2)}
        for name in ("state_dict", "model", "model_state_dict", "net", "network", "weights", "module", "ema")
    },
    **{name: {name: OrderedDict(STATE)} for name in ("model_ema", "params", "state_dict_ema")},
    "two levels": {"model": {"state_dict": STATE, "config": {"depth": 20}}, "epoch": 1},
    "config first": {"model": {"name": "resnet"}, "weights": STATE},
    "name of the model": {"model": "resnet", "state_dict": STATE},
    "average beside": {"ema": {k: v + v for k, v in STATE.items()}, "model_ema": {"x": torch.zeros(1)}, "net": STATE},
    "counters beside": {"epoch": 3, "best_acc": 81.5, "done": True, **STATE},
    "parameters": {k: torch.nn.Parameter(v) if v.is_floating_point() else v for k, v in STATE.items()},
}


@pytest.mark.parametrize("case", WRAPPED)
def test_the_state_dict_is_found(tmp_path: Path, case: str) -> None:
    torch.save(WRAPPED[case], tmp_path / "w.pth")
    read = read_state(tmp_path / "w.pth")
    assert same(read, STATE)
    assert not any(tensor.requires_grad or type(tensor) is not Tensor for tensor in read.values())


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "backbone.", "_orig_mod.module.model."])
def test_names_keep_their_prefix(tmp_path: Path, prefix: str) -> None:
    state = {prefix + name: value for name, value in STATE.items()}
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    assert same(read_state(tmp_path / "w.pth"), state)


def test_ties_survive(tmp_path: Path) -> None:
    shared = torch.ones(2)
    torch.save({"a": shared, "b": shared}, tmp_path / "w.pth")
    read = read_state(tmp_path / "w.pth")
    assert read["a"].data_ptr() == read["b"].data_ptr()


def quantised() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"state_dict": {7: torch.ones(1)}}, "no state dict .* 'state_dict'"),
        ({"epoch": 3, "optimizer": {"lr": 0.1}}, "no state dict .* 'epoch', 'optimizer'"),
        ({"a": {"b": {"c": {"d": {"e": {"f": STATE}}}}}}, "no state dict"),
        ({}, "no state dict .* but nothing"),
        ([torch.ones(1)], "holds a list"),
        (torch.ones(1), "holds a Tensor"),
        (None, "holds a NoneType"),
        ({"w": torch.eye(2).to_sparse()}, "'w' .* sparse_coo tensor"),
        ({"w": torch.eye(2).to(torch.float8_e4m3fn)}, "'w' .* float8_e4m3fn tensor"),
        ({"w": torch.eye(2, dtype=torch.complex64)}, "'w' .* complex64 tensor"),
        ({"w": torch.ones(2, device="meta")}, "'w' .* no values"),
    ],
)
def test_what_are_no_weights_is_named(tmp_path: Path, document: Any, complaint: str) -> None:
    torch.save(document, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=complaint) as caught:
        read_checkpoint(tmp_path / "w.pth")
    assert str(tmp_path / "w.pth") in str(caught.value)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"w": quantised()}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"'w' .* qint8 tensor"):
        read_checkpoint(tmp_path / "w.pth")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    for path, complaint in (
        (tmp_path / "nothing.pth", "does not exist"),
        (tmp_path, "is not a file"),
        (tmp_path / "empty.pth", "is empty"),
    ):
        with pytest.raises(ModelError, match=complaint):
            read_checkpoint(path)


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as stored,
        zipfile.ZipFile(tmp_path / "z.pth", "w", zipfile.ZIP_DEFLATED) as squeezed,
    ):
        for member in stored.namelist():
            squeezed.writestr(member, stored.read(member))
    with pytest.raises(ModelError, match="was compressed after"):
        read_checkpoint(tmp_path / "z.pth")


@pytest.mark.parametrize(("depth", "tensors"), [(20, 97), (56, 277)])
def test_the_published_cifar_checkpoints(shared: Path, depth: int, tensors: int) -> None:
    state = read_state(shared / f"models/cifar10-resnet{depth}.th")
    assert len(state) == tensors
    assert state["module.layer1.0.conv1.weight"].shape == (16, 16, 3, 3)
