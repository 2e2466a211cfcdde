"""What is borrowed of a network and of torch is given back on every exit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from calibrate.generators import seeded
from calibrate.surgery import watching
from tests.builders.networks import Tied, convolutional, warmed_up


class Closed(nn.Linear):
    """Takes no hooks."""

    def register_forward_pre_hook(self, *_: Any, **__: Any) -> RemovableHandle:
        raise ZeroDivisionError

    register_forward_hook = register_forward_pre_hook


def hooks(model: nn.Module) -> list[Any]:
    return [
        hook
        for module in model.modules()
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    ]


def nothing(*_: Any) -> None:
    return None


def test_hooks_are_there_inside_and_gone_after() -> None:
    model = convolutional()
    with watching(model.modules(), before=nothing, after=nothing):
        assert len(hooks(model)) == 2 * len(list(model.modules()))
    assert not hooks(model)


@pytest.mark.parametrize("where", ["in the block", "in the hook"])
def test_hooks_are_gone_after_a_failure(where: str) -> None:
    model = convolutional()

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    def look() -> None:
        with watching([model[0], model[1]], before=fail if where == "in the hook" else nothing, after=nothing):
            model(torch.zeros(2, 1, 8, 8))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look()
    assert not hooks(model)


@pytest.mark.parametrize("sides", [("before",), ("after",), ("before", "after")], ids=" and ".join)
def test_hooks_are_gone_where_setting_them_fails_half_way(sides: tuple[str, ...]) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), Closed(2, 2), nn.ReLU())
    with pytest.raises(ZeroDivisionError), watching(model, **dict.fromkeys(sides, nothing)):
        raise AssertionError("the block was entered")
    assert not hooks(model)


def test_hooks_that_others_set_stay() -> None:
    layer = nn.Identity()
    layer.register_forward_hook(nothing)
    with watching([layer], after=lambda *_: None):
        pass
    assert hooks(layer) == [nothing]


def test_a_tied_layer_is_watched_once_and_sees_each_of_its_calls() -> None:
    model, calls = warmed_up(Tied()), list[nn.Module]()
    layers = [module for _, module in model.named_modules(remove_duplicate=False) if isinstance(module, nn.BatchNorm2d)]
    assert layers == [model.norm, model.norm]
    with watching(layers, before=lambda layer, _: calls.append(layer)):
        assert len(hooks(model)) == 1
        model(torch.zeros(2, 1, 8, 8))
    assert calls == [model.norm, model.norm]


def test_hooks_run_around_each_call_in_the_order_in_which_they_were_set() -> None:
    first, second = nn.Identity(), nn.Identity()
    said: list[str] = []

    def say(word: str) -> Callable[..., None]:
        return lambda layer, *_: said.append(f"{word} {1 if layer is first else 2}")

    model = nn.Sequential(first, second)
    with (
        watching([second, first], before=say("outer before"), after=say("outer after")),
        watching([first], before=say("inner before"), after=say("inner after")),
    ):
        model(torch.zeros(1))
    assert said == [
        "outer before 1",
        "inner before 1",
        "outer after 1",
        "inner after 1",
        "outer before 2",
        "outer after 2",
    ]


def test_hooks_are_given_what_goes_in_and_comes_out_and_may_replace_it() -> None:
    layer = nn.Identity()
    seen: list[Tensor] = []

    def before(_layer: nn.Identity, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.append(inputs[0])
        return (inputs[0] + 1,)

    def after(_layer: nn.Identity, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.extend([inputs[0], output])
        return output * 2

    with watching([layer], before=before, after=after):
        y = layer(torch.zeros(1, 2))
    assert [float(each.mean()) for each in (*seen, y)] == [0.0, 1.0, 1.0, 2.0]


def test_draws_depend_on_the_seed_and_the_generator_goes_on_where_it_was() -> None:
    state = torch.get_rng_state()
    with seeded(3):
        drawn = torch.rand(4)
    assert torch.equal(drawn, torch.rand(4, generator=torch.Generator().manual_seed(3)))

    def fail_midway() -> None:
        with seeded(4):
            torch.rand(4)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    assert torch.equal(torch.get_rng_state(), state)


def test_inputs_given_by_keyword_are_watched_and_replaced() -> None:
    layer, x = nn.BatchNorm1d(2).eval(), torch.randn(3, 2)
    seen: list[Any] = []
    with watching([layer], before=lambda _, given: seen.append(given), after=lambda _, given, y: seen.append(given)):
        layer(input=x)
    assert all(given[0] is x for given in seen)
    with watching([layer], before=lambda *_: 2 * x):
        replaced = layer(input=x)
    assert torch.equal(replaced, layer(2 * x))
