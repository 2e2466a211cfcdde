"""Suspended work runs only while its caller waits, ends whole or unwound, and its memory is what is counted."""

import threading

import pytest
import torch
from torch import Tensor, nn

from calibrate.stats.live_memory import live_bytes
from calibrate.stats.suspended import Suspended


def test_many_take_turns_and_modes_stay_their_own() -> None:
    said: list[tuple[int, int, bool]] = []

    def work(name: int) -> None:
        with torch.inference_mode(name % 2 == 0):
            for turn in range(3):
                said.append((turn, name, torch.is_inference_mode_enabled()))
                works[name].stop()

    works = [Suspended(lambda name=name: work(name)) for name in range(4)]  # type: ignore[misc]
    assert all(one.begin() for one in works)
    for _ in range(3):
        assert [one.resume() for one in works] == [True] * 4
        assert not torch.is_inference_mode_enabled()
    assert said == [(turn, name, name % 2 == 0) for turn in range(3) for name in range(4)]
    assert not any(one.resume() for one in works)


def test_what_the_work_raises_is_raised_where_it_was_resumed() -> None:
    def fails() -> None:
        work.stop()
        raise ZeroDivisionError

    work = Suspended(fails)
    assert work.begin()
    assert work.resume()
    with pytest.raises(ZeroDivisionError):
        work.resume()
    assert not work.resume()


def test_abandoned_work_unwinds_past_those_who_catch_everything() -> None:
    unwound = []

    def stubborn() -> None:
        try:
            try:
                work.stop()
            except Exception:
                unwound.append("caught")
        finally:
            unwound.append("unwound")

    before = threading.active_count()
    work = Suspended(stubborn)
    work.abandon()  # not begun: nothing to end
    assert work.begin()
    assert work.resume()
    work.abandon()
    work.abandon()
    assert unwound == ["unwound"]
    assert threading.active_count() == before


def test_abandoned_before_it_was_resumed_it_does_nothing() -> None:
    said: list[str] = []
    work = Suspended(lambda: said.append("ran"))
    assert work.begin()
    work.abandon()
    assert not work.resume()
    assert not said


class Holding(nn.Module):
    """Holds its input's features while the layers are called."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(1, 8, 1), nn.Conv2d(8, 2, 1)
        self.one, self.two = nn.BatchNorm2d(8), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(self.wide(x))
        return self.two(self.narrow(x)).sum((1, 2, 3)) + x.sum((1, 2, 3))


def test_the_bytes_counted_are_those_alive_at_a_call() -> None:
    """At the second call: the input (1 channel), the first layer's output (8) and what goes into the second (2)."""
    model = Holding()
    x = torch.randn(3, 1, 4, 4)
    assert live_bytes(model, [model.one, model.two], x) == ((1 + 8 + 2) * x.nbytes, [model.one, model.two])
    assert live_bytes(model, [model.one], x) == ((1 + 8) * x.nbytes, [model.one])
    assert not model.one._forward_pre_hooks
