"""Positions: rules that say which batch normalisation layers of a network are meant."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from calibrate.errors import UsageError
from calibrate.surgery.blocks import Block, find_blocks
from calibrate.surgery.place import is_batch_norm
from calibrate.surgery.sites import find_sites, matching

Position = Literal["first", "second", "third", "last"]
INDEX: dict[Position, int] = {"first": 0, "second": 1, "third": 2, "last": -1}


def batch_norms(model: nn.Module, patterns: Sequence[str] = ("*",)) -> tuple[str, ...]:
    """The names of the layers that one of the shell-style ``patterns`` matches, in the order of definition.

    Raises UsageError for a pattern that matches none.

    >>> batch_norms(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
    ('1',)
    """
    sites = [site for site in find_sites(model) if is_batch_norm(site.module)]
    return tuple(site.name for site in matching(sites, patterns))


def every_odd(model: nn.Module) -> tuple[str, ...]:
    """The first, third, fifth, … layer in the order of definition.

    >>> every_odd(nn.Sequential(*(nn.BatchNorm1d(3) for _ in range(5))))
    ('0', '2', '4')
    """
    return batch_norms(model)[::2]


def in_blocks(model: nn.Module, position: Position, every: int = 1) -> tuple[str, ...]:
    """The layer at ``position`` of each residual block, or of every second, fourth, … block, counted from 1.

    Raises UsageError where a block has no such layer, ModelError for a network without residual blocks.

    >>> from torchvision.models import resnet18
    >>> in_blocks(resnet18(), "last", every=4)
    ('layer2.1.bn2', 'layer4.1.bn2')
    """
    return tuple(at(block, position) for block in every_kth(find_blocks(model), every))


def every_kth(blocks: Sequence[Block], every: int) -> Sequence[Block]:
    """Blocks number k, 2k, 3k, … of ``blocks``, counted from 1; UsageError where there are fewer than k."""
    if not 1 <= every <= len(blocks):
        raise UsageError(
            f"every is {every}, and the network has {len(blocks)} residual blocks; give a number from 1 to "
            f"{len(blocks)}."
        )
    return blocks[every - 1 :: every]


def at(block: Block, position: Position) -> str:
    """The name of the layer at ``position`` of ``block``."""
    if INDEX[position] >= len(block.sites):
        raise UsageError(
            f"the block {block.name} has {len(block.sites)} normalisation layers, so none is the {position}; choose "
            "another position, or place layers by name."
        )
    return block.sites[INDEX[position]]


def stem(model: nn.Module) -> tuple[str, ...]:
    """The layers before the first residual block.

    >>> from torchvision.models import resnet18
    >>> stem(resnet18())
    ('bn1',)
    """
    names = batch_norms(model)
    return names[: names.index(find_blocks(model)[0].sites[0])]
