"""Fitting names takes work in proportion to the file, however many its modules are, how deep, and how alike."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from calibrate.io import fit_weights
from tests.builders.checkpoints import alone

ONE = torch.zeros(1)
State = dict[str, Tensor]


class Pair(nn.Module):
    """A weight and a bias of one number each."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called by ``work``, of Python's own too."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def row(n: int) -> nn.Module:
    return nn.Sequential(*(Pair() for _ in range(n)))


def pairs(*prefixes: str) -> State:
    return {f"{prefix}{last}": ONE for prefix in prefixes for last in ("weight", "bias")}


#: A network and a file by their size; some fit, some nearly.
FILES: dict[str, Callable[[int], tuple[nn.Module, State]]] = {
    "as the network": lambda n: (row(n), row(n).state_dict()),
    "each part wrapped": lambda n: (row(n), pairs(*(f"module.{i}.module." for i in range(n)))),
    "all but one": lambda n: (row(n), pairs(*map("{}.".format, range(n - 1)))),
    "nearly its names": lambda n: (row(n), {f"{name}_": tensor for name, tensor in row(n).state_dict().items()}),
    "so many that fit": lambda n: (Pair(), pairs(*map("part{}.".format, range(n)))),
    "so many that nearly fit": lambda n: (row(2), pairs(*map("part{}.0.".format, range(n)))),
    "all in one module": lambda n: (Pair(), {f"weight{i}": ONE for i in range(2 * n)}),
    "so deep": lambda n: (Pair(), pairs(*("a." * i for i in range(n)))),
    "chains": lambda n: (Pair(), pairs(*(f"c{i}." + "a." * j for i in range(n // 40) for j in range(40)))),
}


@pytest.mark.parametrize("name", FILES)
def test_twice_the_file_is_twice_the_work(name: str) -> None:
    def work(n: int) -> int:
        model, state = FILES[name](n)
        return calls_of(lambda: fit_weights(model, alone(state)))

    fewer, more = work(400), work(800)
    assert more < 2.5 * fewer
    assert more < 500 * 2 * 800
