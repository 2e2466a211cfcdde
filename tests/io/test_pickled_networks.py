"""A network that was pickled whole opens as its state dict, and none of its code is run."""

import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.errors import ModelError
from calibrate.io import fit_weights, read_checkpoint
from tests.builders.checkpoints import read_state
from tests.builders.hostile_checkpoints import bare, old, zipped_alone
from tests.builders.pickled_objects import Block, Trainer, networks, package


@pytest.mark.parametrize("write", [zipped_alone, old, bare])
@pytest.mark.parametrize("name", networks())
def test_the_state_dict_is_that_of_the_network(tmp_path: Path, name: str, write: Any) -> None:
    document, network = networks()[name]
    with package(Block, Trainer):
        write(document, tmp_path / "w.pth", 2)
    read = read_checkpoint(tmp_path / "w.pth")
    wanted = network.state_dict()
    state = fit_weights(network, read).state
    assert state.keys() == wanted.keys()
    assert all(type(state[key]) is Tensor and torch.equal(state[key], wanted[key]) for key in wanted)
    assert all(state[key].dtype == wanted[key].dtype for key in wanted)
    assert "project.models" not in sys.modules
    (finding,) = read.findings
    assert finding.code == "pickled-network"
    assert ("DataParallel" if name == "data parallel" else type(network).__qualname__) in finding.message


def left_out(path: Path) -> tuple[str, ...]:
    """The entries that are no weights, by their names, of which none is among the weights too."""
    found = read_checkpoint(path).state_dicts[0]
    assert found.tensors.keys().isdisjoint(found.beside)
    return found.beside


def test_a_state_dict_has_no_such_finding(tmp_path: Path) -> None:
    torch.save({"model": Block().state_dict()}, tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").findings == ()


STATE = {"conv.weight": torch.arange(12.0).reshape(3, 1, 2, 2), "n": torch.tensor(5), "b": torch.tensor([True, False])}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"model": state, "__author__": "someone"}])
def test_numpy_arrays_are_read_as_tensors(tmp_path: Path, protocol: int, wrap: Any) -> None:
    """detectron2's model zoo is written by pickle.dump, as dicts of numpy arrays."""
    arrays = {name: tensor.numpy() for name, tensor in STATE.items()}
    arrays["fortran"] = np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3))
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(wrap(arrays), protocol))
    read = read_state(tmp_path / "w.pkl")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name].numpy(), array, strict=True)


def test_the_older_name_of_numpys_module(tmp_path: Path) -> None:
    content = pickle.dumps({"w": np.arange(3.0)}, 2)
    assert b"numpy._core.multiarray" in content
    (tmp_path / "w.pkl").write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert torch.equal(read_state(tmp_path / "w.pkl")["w"], torch.arange(3.0, dtype=torch.float64))


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.arange(3, dtype=">f4"), np.zeros(2, "M8[s]")])
def test_arrays_of_other_kinds_are_no_weights(tmp_path: Path, array: Any) -> None:
    torch.save({"state_dict": {"conv.weight": torch.ones(2), "w": array}}, tmp_path / "w.pth")
    assert left_out(tmp_path / "w.pth") == ("w",)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_state_dict_written_by_pickle_dump(tmp_path: Path, protocol: int) -> None:
    state = OrderedDict(STATE, half=torch.ones(2, 3).half().t(), tied=STATE["n"])
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"net": state}, protocol))
    read = read_state(tmp_path / "w.pkl")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) and read[name].dtype == state[name].dtype for name in state)


def test_views_of_one_storage_in_the_old_format(tmp_path: Path) -> None:
    whole = torch.arange(10.0)
    state = {"whole": whole, "part": whole[3:7], "transposed": whole[:6].reshape(2, 3).t()}
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    read = read_state(tmp_path / "w.pth")
    assert all(torch.equal(read[name], state[name]) for name in state)
    assert read["part"].data_ptr() == read["whole"].data_ptr() + 12


def test_an_archive_of_a_machine_of_the_other_byte_order(tmp_path: Path) -> None:
    state = {
        "w": torch.arange(3.0),
        "n": torch.tensor([2**40 + 1]),
        "h": torch.ones(3).half(),
        "u": torch.ones(1).byte(),
    }
    torch.save(state, tmp_path / "w.pth")
    codes = iter(("f4", "i8", "f2", "u1"))
    with zipfile.ZipFile(tmp_path / "w.pth") as file, zipfile.ZipFile(tmp_path / "other.pth", "w") as other:
        for name in file.namelist():
            content = file.read(name)
            if "/data/" in name:
                content = np.frombuffer(content, next(codes)).byteswap().tobytes()
            elif name.endswith("/byteorder"):
                content = b"big" if sys.byteorder == "little" else b"little"
            other.writestr(name, content)
    read = read_state(tmp_path / "other.pth")
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_what_is_no_network_inside_one_is_no_weight(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    network._modules["odd"] = slice(1)  # type: ignore[assignment]
    torch.save({"model": network}, tmp_path / "w.pth")
    assert left_out(tmp_path / "w.pth") == ("odd",)


def test_a_file_of_another_object_is_named(tmp_path: Path) -> None:
    with package(Trainer):
        torch.save(Trainer.__new__(Trainer), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"holds a project\.models\.Trainer instead of a state dict"):
        read_checkpoint(tmp_path / "w.pth")
