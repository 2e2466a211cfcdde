"""Objects beside the weights are read as data: nothing of theirs is imported or called, and the weights are equal."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.builders.checkpoints import read_state
from tests.builders.hostile_checkpoints import bare, old, zipped_alone
from tests.builders.pickled_objects import PACKAGES, cyclic, inert, package

STATE = {"conv.weight": torch.arange(12.0).reshape(3, 1, 2, 2), "bn.num_batches_tracked": torch.tensor(5)}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        type(left[name]) is Tensor and left[name].dtype == right[name].dtype and torch.equal(left[name], right[name])
        for name in left
    )


@pytest.mark.parametrize("write", [zipped_alone, old, bare])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_all_at_once(tmp_path: Path, write: Callable[[Any, Path, int], None], protocol: int) -> None:
    with package(*PACKAGES):
        write({"epoch": 3, **inert(), "cyclic": cyclic(), "state_dict": STATE}, tmp_path / "w.pth", protocol)
    assert same(read_state(tmp_path / "w.pth"), STATE)
    assert "project.records" not in sys.modules


@pytest.mark.parametrize("name", inert())
@pytest.mark.parametrize("protocol", [2, 5])
def test_each(tmp_path: Path, name: str, protocol: int) -> None:
    with package(*PACKAGES):
        torch.save({"state_dict": STATE, "object": inert()[name]}, tmp_path / "w.pth", pickle_protocol=protocol)
    assert same(read_state(tmp_path / "w.pth"), STATE)
