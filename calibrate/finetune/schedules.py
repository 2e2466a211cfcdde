"""Schedules: how the rates of all groups move over the steps of one optimiser.

A group's ``lr`` is its highest rate, so ratios between groups stay. A schedule is made of a fresh optimiser, of one
phase where there are several, and is stepped once for each step of the optimiser. To resume, make both anew and load
both state dicts.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR

Schedule = Literal["one_cycle", "cosine", "step", "constant"]


def one_cycle(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Up to each group's rate and down to almost 0, by cosines.

    Momentum, or Adam's β₁, goes from 0.95 to 0.85 and back, whatever the optimiser was made with. Reference: Smith, A
    Disciplined Approach to Neural Network Hyper-Parameters, 2018.
    """
    return OneCycleLR(optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=steps)


def cosine(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Down from each group's rate to 0 along half a cosine."""
    return CosineAnnealingLR(optimizer, T_max=steps)


def step(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Each group's rate, and a tenth of it after two thirds of the steps, as L2-SP was trained (Li et al., 2018)."""
    return MultiStepLR(optimizer, [-(-2 * steps // 3)])


def constant(optimizer: Optimizer, steps: int) -> LRScheduler:  # noqa: ARG001  (the table's signature)
    """Each group's rate throughout."""
    return ConstantLR(optimizer, factor=1.0)


SCHEDULES: Mapping[Schedule, Callable[[Optimizer, int], LRScheduler]] = {
    "one_cycle": one_cycle,
    "cosine": cosine,
    "step": step,
    "constant": constant,
}
