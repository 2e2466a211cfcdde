"""What a network holds, before and after: that it was left as it was, that two are alike bit for bit."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Snapshot(NamedTuple):
    """All that a run could leave behind in a network."""

    tensors: dict[str, Tensor]
    modes: list[tuple[bool, object]]
    hooks: list[int]
    kinds: list[type[nn.Module]]


def snapshot(model: nn.Module) -> Snapshot:
    modules = list(model.modules())
    return Snapshot(
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
        [(module.training, getattr(module, "track_running_stats", None)) for module in modules],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules],
        [type(module) for module in modules],
    )


def bits(tensor: Tensor) -> list[int]:
    return tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


def assert_same_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """The same names in the same order, and the same bits, which tells NaN from NaN where ``torch.equal`` does not."""
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert torch.equal(tensor, other[name]) or bits(tensor) == bits(other[name]), name


def assert_same_bits(one: nn.Module, other: nn.Module) -> None:
    assert_same_tensors(one.state_dict(), other.state_dict())


def assert_untouched(model: nn.Module, before: Snapshot) -> None:
    now = snapshot(model)
    assert_same_tensors(now.tensors, before.tensors)
    assert now[1:] == before[1:]


def assert_same_statistics(one: nn.Module, other: nn.Module) -> None:
    """Of the plainest network's two sites."""
    for place in (1, 4):
        assert torch.equal(one[place].running_mean, other[place].running_mean)
        assert torch.equal(one[place].running_var, other[place].running_var)


def storages(model: nn.Module) -> set[int]:
    """Where the numbers of a network lie in memory."""
    return {tensor.data_ptr() for tensor in model.state_dict().values()}
