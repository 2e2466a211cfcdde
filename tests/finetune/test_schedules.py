"""Schedules: rates of all groups over the steps, and exact resume."""

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from calibrate.finetune import SCHEDULES, parameter_groups
from tests.builders.networks import convolutional, warmed_up

STEPS = 30


def made(name: Any, optimizer: Any = torch.optim.SGD) -> tuple[torch.nn.Module, Optimizer, LRScheduler]:
    model = warmed_up(convolutional().double())
    fresh = optimizer(parameter_groups(model, lr=0.1, head=["8"], gamma_lr_divisor=100))
    return model, fresh, SCHEDULES[name](fresh, STEPS)


def train_(model: torch.nn.Module, optimizer: Optimizer, schedule: LRScheduler, steps: range) -> list[list[float]]:
    """Learn a little; the rates of all groups at each step."""
    rates = []
    for step in steps:
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.zero_grad()
        x = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        model.train()(x).square().mean().backward()
        optimizer.step()
        schedule.step()
    return rates


def cosine(start: float, end: float, share: float) -> float:
    return float(end + (start - end) / 2 * (1 + np.cos(np.pi * share)))


def one_cycle(t: int) -> float:
    """Relative to the highest rate: 1/25 up to 1 over 30 % of the steps, down to a 10,000th of the first."""
    top = 0.3 * STEPS - 1
    return cosine(1 / 25, 1, t / top) if t <= top else cosine(1, 1 / 250_000, (t - top) / (STEPS - 1 - top))


EXPECTED = {
    "one_cycle": one_cycle,
    "cosine": lambda t: cosine(1, 0, t / STEPS),
    "step": lambda t: 1.0 if t < 20 else 0.1,
    "constant": lambda t: 1.0,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_group_follows_the_schedule_at_its_own_rate(name: str) -> None:
    highest = [0.1, 0.001, 0.1, 1.0, 1.0]
    rates = train_(*made(name), range(STEPS))
    np.testing.assert_allclose(rates, [[EXPECTED[name](t) * rate for rate in highest] for t in range(STEPS)], rtol=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_a_resumed_training_equals_the_unbroken_one_bit_for_bit(name: str, optimizer: Any) -> None:
    unbroken = made(name, optimizer)
    train_(*unbroken, range(STEPS))
    broken = made(name, optimizer)
    train_(*broken, range(17))
    file = io.BytesIO()
    torch.save([part.state_dict() for part in broken], file)
    file.seek(0)
    resumed = made(name, optimizer)
    for part, state in zip(resumed, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    train_(*resumed, range(17, STEPS))
    for one, other in zip(unbroken[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_one_cycle_moves_momentum_against_the_rate() -> None:
    model, optimizer, schedule = made("one_cycle")
    momenta = []
    for step in range(STEPS):
        momenta.append(copy.copy(optimizer.param_groups[0]["momentum"]))
        train_(model, optimizer, schedule, range(step, step + 1))
    assert momenta[0] == momenta[-1] == pytest.approx(0.95)
    assert min(momenta) == momenta[8] == pytest.approx(0.85)


def test_step_falls_after_two_thirds_also_where_they_are_no_whole_number() -> None:
    for steps, falls in ((1, 1), (2, 2), (7, 5), (9, 6)):
        _, optimizer, _ = made("constant")
        schedule = SCHEDULES["step"](optimizer, steps)
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        assert rates == pytest.approx([0.1] * falls + [0.01] * (steps - falls))
