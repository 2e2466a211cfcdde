"""Placements of the papers: which layers of a network become what."""

from typing import Literal

from torch import nn

from calibrate.errors import UsageError
from calibrate.surgery.blocks import Block, find_blocks
from calibrate.surgery.place import Replacement, Replacements
from calibrate.surgery.positions import Position, at, batch_norms, every_kth, every_odd, stem

#: Batches of fewer examples are very small: then BatchGroupNorm. The paper tries 2, and finds GhostBatchNorm better
#: where there are enough examples for groups of them.
VERY_SMALL = 8


def xbn(
    model: nn.Module,
    position: Literal["P1", "P2", "P3"] = "P2",
    every: int = 1,
    layer: Literal["GroupNorm", "InstanceNorm"] = "GroupNorm",
    num_groups: int = 64,
    with_stem: bool = True,
) -> Replacements:
    """XBNBlock: one layer of every k-th residual block normalises without the batch, and the stem's.

    P1, P2, P3 are the first, second, third of a block; where it has two, P1 and P2 are the first, P3 the second. D2, D4
    and D8 of the paper are ``every`` 2, 4, 8. Shortcuts stay. For MobileNet and ShuffleNet the authors take 16 groups
    and leave the stem.

    Reference: Huang et al., Delving into the Estimation Shift of Batch Normalization, §5.1 and 5.2.

    >>> from torchvision.models import resnet18
    >>> list(xbn(resnet18(), every=4))
    ['bn1', 'layer2.1.bn1', 'layer4.1.bn1']
    """
    settings = {"num_groups": num_groups} if layer == "GroupNorm" else {}
    inside = (_xbn_site(block, position) for block in every_kth(find_blocks(model), every))
    return dict.fromkeys((*(stem(model) if with_stem else ()), *inside), Replacement(layer, settings))


def gnbn(model: nn.Module, num_groups: int = 4) -> Replacements:
    """GNBN: every odd batch normalisation layer becomes GroupNorm.

    Reference: Huang et al., Delving into the Estimation Shift of Batch Normalization, §4.2.2.
    """
    return dict.fromkeys(every_odd(model), Replacement("GroupNorm", {"num_groups": num_groups}))


def ibn_a(model: nn.Module) -> Replacements:
    """IBN-a: the first layer of each residual block of the first three stages becomes half instance normalisation.

    A stage is the blocks that stand in one container.

    Reference: Pan, Luo, Shi & Tang, Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net.
    """
    early = [block for stage in stages(model)[:3] for block in stage]
    return {at(block, "first"): Replacement("InstanceBatchNorm", {"ratio": 0.5}) for block in early}


def four_things(model: nn.Module, batch_size: int, ghost_size: int = 16, num_groups: int = 32) -> Replacements:
    """The layer for a batch size: GroupNorm for 1, BatchGroupNorm for very small ones, GhostBatchNorm from 8 on.

    The rest of the recipe is not placement: weight decay on γ and β (in residual networks, not Inception-like ones),
    and weighing examples after training, whose α the search finds.

    Reference: Summers & Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, §3 and 4.2.

    >>> [four_things(nn.BatchNorm2d(8), size)[""].layer for size in (1, 2, 128)]
    ['GroupNorm', 'BatchGroupNorm', 'GhostBatchNorm']
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; a batch has 1 example or more.")
    if batch_size == 1:
        replacement = Replacement("GroupNorm", {"num_groups": num_groups})
    elif batch_size < VERY_SMALL:
        replacement = Replacement("BatchGroupNorm", {"num_groups": num_groups, "examples_per_group": 2})
    else:
        replacement = Replacement("GhostBatchNorm", {"ghost_size": min(ghost_size, batch_size)})
    return dict.fromkeys(batch_norms(model), replacement)


def stages(model: nn.Module) -> tuple[tuple[Block, ...], ...]:
    """The residual blocks of ``model``, those that stand in one container together."""
    found: dict[str, list[Block]] = {}
    for block in find_blocks(model):
        found.setdefault(block.stage, []).append(block)
    return tuple(map(tuple, found.values()))


def _xbn_site(block: Block, position: Literal["P1", "P2", "P3"]) -> str:
    if len(block.sites) == 2:
        return block.sites[position == "P3"]
    of_three: dict[str, Position] = {"P1": "first", "P2": "second", "P3": "third"}
    return at(block, of_three[position])
