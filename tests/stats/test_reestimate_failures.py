"""Re-estimation where source or network go wrong: what was borrowed is given back, the error says what to do."""

import copy
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from calibrate.errors import DataError, ModelError, UsageError
from calibrate.stats import reestimate_
from tests.builders.batches import batches, inputs
from tests.builders.networks import convolutional, grouped, warmed_up
from tests.builders.states import assert_same_bits


class Endless:
    def __iter__(self) -> Iterator[Tensor]:
        while True:
            yield inputs().float()[:11]


@pytest.mark.parametrize("order", ["in_order", "batch"])
def test_samples_cut_an_endless_source_in_the_middle_of_a_batch(order: str) -> None:
    model = warmed_up(convolutional())
    found = reestimate_(model, Endless(), samples=25, order=order)
    assert found.images == 25
    assert {moments.count for moments in found.moments.values()} == {25 * 64, 25 * 9}


class Shuffled(Endless):
    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[Tensor]:
        return (torch.randn(4, 1, 8, 8) for _ in range(2))


class Interrupted(Endless):
    def __iter__(self) -> Iterator[Tensor]:
        yield from batches(inputs().float())[:3]
        raise OSError("the disk is gone")


class Moody(nn.Module):
    """Calls its layers in an order that depends on what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x)) if x.mean() < 1 else self.one(self.two(x))


class Brief(Moody):
    """Leaves one layer out for some inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x)) if x.mean() < 1 else self.one(x)


@pytest.mark.parametrize("memory", [0, 1 << 30])
@pytest.mark.parametrize(
    ("build", "data", "arguments", "error", "words"),
    [
        (convolutional, Endless, {}, UsageError, "may never end"),
        (convolutional, lambda: batches(inputs().float()), {"samples": 46}, DataError, "wanted 46 samples.*has 45"),
        (convolutional, list, {}, DataError, "no examples"),
        (convolutional, Interrupted, {"samples": 45}, OSError, "disk is gone"),
        (Moody, lambda: batches(inputs().float()), {}, ModelError, "order that depends on the data"),
        (Brief, lambda: batches(inputs().float()), {}, ModelError, "some batches only"),
        (grouped, lambda: batches(inputs().float()), {}, ModelError, "nothing to re-estimate"),
        (lambda: nn.Flatten(), lambda: batches(inputs().float()), {}, ModelError, "nothing to re-estimate"),
        (convolutional, lambda: batches(inputs().float()), {"sites": ["x"]}, UsageError, "matches none"),
        (convolutional, lambda: [torch.zeros(3, 2, 8, 8)], {}, RuntimeError, "channels"),
    ],
)
def test_a_failure_gives_everything_back(
    build: Callable[[], nn.Module],
    data: Callable[[], "Sequence[Tensor]"],
    arguments: "dict[str, object]",
    error: type[Exception],
    words: str,
    memory: int,
) -> None:
    model = warmed_up(build()).train()
    before = copy.deepcopy(model)
    with pytest.raises(error, match=words):
        reestimate_(model, data(), memory=memory, **arguments)
    assert_same_bits(model, before)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("build", "data", "samples", "error"),
    [
        (convolutional, Interrupted, 45, OSError),
        (convolutional, Endless, None, UsageError),
        (Moody, list, 1, DataError),
    ],
)
def test_a_failure_in_batches_gives_everything_back_too(
    build: Callable[[], nn.Module],
    data: Callable[[], "Sequence[Tensor]"],
    samples: "int | None",
    error: type[Exception],
) -> None:
    model = warmed_up(build()).train()
    before = copy.deepcopy(model)
    with pytest.raises(error):
        reestimate_(model, data(), samples=samples, order="batch")
    assert_same_bits(model, before)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_what_is_gone_through_twice_must_be_the_same_twice() -> None:
    model = warmed_up(convolutional())
    with pytest.raises(DataError, match="turn shuffling"):
        reestimate_(model, Shuffled(), memory=0)
    with pytest.raises(DataError, match="once only"):
        reestimate_(model, iter(batches(inputs().float())), samples=45, memory=0)
    reestimate_(model, Shuffled())
    reestimate_(model, iter(batches(inputs().float())), samples=45)


def test_a_layer_that_is_never_called_keeps_its_statistics_and_is_named() -> None:
    model = warmed_up(nn.ModuleDict({"used": nn.BatchNorm1d(64), "idle": nn.BatchNorm1d(3)}))
    model.forward = lambda x: model["used"](x.flatten(1))  # type: ignore[method-assign]
    before = model["idle"].running_var.clone()
    found = reestimate_(model, batches(inputs().float()))
    assert (found.idle, list(found.moments)) == (("idle",), ["used"])
    assert torch.equal(model["idle"].running_var, before)
