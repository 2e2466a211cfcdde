"""Layers called several times in a pass: their statistics are those of all their inputs in inference, or it is said."""

import copy
import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from calibrate.errors import DataError, ModelError
from calibrate.nn import ExampleWeighed
from calibrate.result import Progress
from calibrate.stats import Batches, Prior, Repeated, pooled_inputs, reestimate, reestimate_
from calibrate.stats.repeated import CLOSE, ROUNDS
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.batches import batches, inputs
from tests.builders.networks import Tied, convolutional, warmed_up
from tests.builders.repeating import (
    Amplifying,
    Counting,
    Interleaved,
    Recurrent,
    Siamese,
    TwoDepths,
    Unsettled,
    amplifying_frozen,
)
from tests.builders.states import assert_same_bits

Build = Callable[[], nn.Module]
Statistics = dict[str, tuple[Tensor, Tensor]]

NETWORKS = [Tied, TwoDepths, Siamese, Recurrent, Interleaved, Amplifying, amplifying_frozen]
several = pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)


def at_inference(model: nn.Module, x: Tensor) -> Statistics:
    """Mean and ÷n variance of all inputs of each layer while ``model``, in float64, runs with what it has stored."""
    model = copy.deepcopy(model).double().eval()
    seen: dict[str, list[Tensor]] = {}
    for site in find_sites(model):
        site.module.register_forward_pre_hook(
            lambda _, arguments, name=site.name: seen.setdefault(name, []).append(
                arguments[0].transpose(0, 1).flatten(1)
            )
        )
    with torch.no_grad():
        model(x.double())
    pooled = {name: torch.cat(values, 1) for name, values in seen.items()}
    return {name: (values.mean(1), values.var(1, correction=0)) for name, values in pooled.items()}


def off(model: nn.Module, wanted: Statistics) -> dict[str, tuple[float, float]]:
    """How far each layer is from what is ``wanted``: means in standard deviations, log variances."""
    found = {}
    for name, (mean, variance) in wanted.items():
        layer = model.get_submodule(name)
        wide = variance + layer.eps
        means = (layer.running_mean.double() - mean).abs() / wide.sqrt()
        found[name] = float(means.max()), float((wide / (layer.running_var.double() + layer.eps)).log().abs().max())
    return found


def ordinary(model: nn.Module, repeated: "dict[str, Repeated]") -> list[str]:
    return [site.name for site in find_sites(model) if site.name not in repeated]


@several
@pytest.mark.parametrize("size", [45, 11])
def test_the_statistics_are_those_of_all_inputs_in_inference(build: Build, size: int) -> None:
    """Ordinary layers' to rounding, wherever they are."""
    model, x = warmed_up(build()).double(), inputs()
    found = reestimate_(model, batches(x, size))
    left = off(model, at_inference(model, x))
    for name, repeated in found.repeated.items():
        assert max(left[name]) <= CLOSE
        assert (repeated.mean, repeated.log_variance) == pytest.approx(left[name], abs=1e-9)
        assert 0 < repeated.rounds < ROUNDS
    for name in ordinary(model, found.repeated):
        assert max(left[name]) < 1e-9, name
    for name, (mean, variance) in at_inference(model, x).items():
        torch.testing.assert_close(found.moments[name].mean, mean, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found.moments[name].variance, variance, rtol=1e-9, atol=0)


def test_the_layers_that_are_called_several_times_are_named_with_their_calls() -> None:
    def calls(build: Build) -> dict[str, int]:
        found = reestimate_(warmed_up(build()), batches(inputs().float()))
        return {name: repeated.calls for name, repeated in found.repeated.items()}

    assert calls(convolutional) == {}
    assert calls(Interleaved) == {"one": 3, "two": 2}
    assert calls(Recurrent) == {"norm": 8}
    assert calls(Siamese) == {"branch.0.1": 2, "branch.1.1": 2, "branch.2.1": 2}


@pytest.mark.parametrize("build", [Tied, TwoDepths, Siamese, Recurrent], ids=lambda build: build.__name__)
def test_they_are_what_plain_iteration_comes_to_where_it_comes_to_anything(build: Build) -> None:
    """From the old statistics, all layers at once, over and over."""
    model, x = warmed_up(build()).double(), inputs()
    tuned = reestimate(model, batches(x))
    for _ in range(200):
        for name, (mean, variance) in at_inference(model, x).items():
            model.get_submodule(name).running_mean.copy_(mean)
            model.get_submodule(name).running_var.copy_(variance)
    wanted = at_inference(model, x)
    assert max(max(both) for both in off(model, wanted).values()) < 1e-9
    assert max(max(both) for both in off(tuned, wanted).values()) < 10 * CLOSE


@pytest.mark.parametrize("variant", ["moments", "published"])
@pytest.mark.parametrize("build", [Interleaved, Amplifying], ids=lambda build: build.__name__)
def test_with_a_prior_they_are_the_mixture(build: Build, variant: str) -> None:
    model, x = warmed_up(build()).double(), inputs()
    tuned = reestimate(model, batches(x), prior=15, variant=variant)
    wanted = {}
    with pooled_inputs([site.module for site in find_sites(tuned)]) as seen, torch.no_grad():
        tuned(x)
    for site in find_sites(tuned):
        old = model.get_submodule(site.name)
        mixed = Prior(15, variant).mix((old.running_mean, old.running_var), seen[site.module], 45)
        wanted[site.name] = mixed
    assert max(max(both) for both in off(tuned, wanted).values()) <= CLOSE
    assert max(max(both) for both in off(tuned, at_inference(tuned, x)).values()) > 0.01


def test_what_weighs_examples_weighs_them_at_every_call() -> None:
    model, x = warmed_up(Amplifying()).double(), inputs()
    weigh_examples_(model, find_sites(model), 0.3)
    tuned = reestimate(model, batches(x))
    assert isinstance(tuned.norm_one, ExampleWeighed)
    assert max(max(both) for both in off(tuned, at_inference(tuned, x)).values()) <= CLOSE


@several
def test_single_precision_is_as_near(build: Build) -> None:
    model, x = warmed_up(build()), inputs().float()
    tuned = reestimate(model, batches(x))
    assert max(max(both) for both in off(tuned, at_inference(tuned, x)).values()) <= 2 * CLOSE


@pytest.mark.parametrize("build", [TwoDepths, Recurrent, Interleaved], ids=lambda build: build.__name__)
def test_half_precision_keeps_its_type_and_comes_as_near_as_its_rounding(build: Build) -> None:
    model, x = warmed_up(build()).bfloat16(), inputs().bfloat16()
    found = reestimate_(model, batches(x))
    assert all(repeated.distance <= CLOSE for repeated in found.repeated.values())
    assert {name: value.dtype for name, value in model.state_dict().items() if "running" in name} == {
        name: torch.bfloat16 for name, value in model.state_dict().items() if "running" in name
    }
    assert max(max(both) for both in off(model, at_inference(model, x)).values()) < 0.05


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_where_there_are_no_such_statistics_the_nearest_stay_and_the_size_is_told(memory: int) -> None:
    """Half the inputs are 0, half of them all 10 or all −10: the means are one standard deviation off, at the least."""
    model, x = Unsettled().double(), inputs()
    found = reestimate_(model, batches(x), memory=memory)
    left = off(model, at_inference(model, x))
    repeated = found.repeated["norm"]
    assert (repeated.calls, repeated.rounds) == (2, ROUNDS)
    assert (repeated.mean, repeated.log_variance) == pytest.approx(left["norm"], abs=1e-9)
    assert 0.9 < repeated.distance < 1.2
    assert max(*left["between"], *left["own"]) < 1e-9


def test_more_rounds_never_leave_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every round comes nearer, and where they end behind one that did not, the nearest before it stays."""
    left = []
    for rounds in range(1, 9):
        monkeypatch.setattr("calibrate.stats.repeated.ROUNDS", rounds)
        model = warmed_up(Amplifying()).double()
        repeated = reestimate_(model, batches(inputs())).repeated
        now = off(model, at_inference(model, inputs()))
        left.append(max(one.distance for one in repeated.values()))
        assert left[-1] == pytest.approx(max(max(now[name]) for name in repeated), abs=1e-9)
    assert left == sorted(left, reverse=True)
    assert len(set(left)) < len(left)


def test_what_is_not_finite_is_infinitely_far_off_and_ends_the_rounds() -> None:
    """In half precision the second call makes more of the first one's output than there are numbers for."""
    model = nn.Sequential(nn.BatchNorm1d(64), nn.Linear(64, 64), nn.Flatten()).half()
    model.forward = lambda x: model[0](1e4 * model[1](1e4 * model[0](x.flatten(1))))  # type: ignore[method-assign]
    found = reestimate_(model, batches(inputs().half()))
    assert found.repeated["0"].rounds == 1
    assert found.repeated["0"].distance == math.inf


def test_sites_leave_them_out_or_take_them_alone() -> None:
    model, x = warmed_up(Interleaved()).double(), inputs()
    without = copy.deepcopy(model)
    assert not reestimate_(without, batches(x), sites=["own.*"]).repeated
    assert torch.equal(without.one.running_mean, model.one.running_mean)
    assert all(max(off(without, at_inference(without, x))[f"own.{place}"]) < 1e-9 for place in range(5))
    alone = copy.deepcopy(model)
    assert list(reestimate_(alone, batches(x), sites=["one"]).repeated) == ["one"]
    assert max(off(alone, at_inference(alone, x))["one"]) <= CLOSE
    assert torch.equal(alone.two.running_mean, model.two.running_mean)


class Forward(Batches):
    """Counts its passes, and fails in one of them."""

    def __init__(self, fails: float = math.inf) -> None:
        self.passes, self.fails = 0, fails

    def after(self, first: int) -> Iterator[tuple[int, Tensor]]:
        self.passes += 1
        for number, x in zip(range(0, 45, 11), batches(inputs().float()), strict=True):
            if self.passes == self.fails and number > 20:
                raise OSError("the disk is gone")
            if number >= first:
                yield number, x


@pytest.mark.parametrize(("build", "more"), [(convolutional, 1), (Tied, 1), (Interleaved, 2), (Siamese, 2)])
def test_a_round_is_a_pass_and_the_layers_behind_are_one_more(build: Build, more: int) -> None:
    source = Forward()
    found = reestimate_(warmed_up(build()), source)
    assert source.passes == more + max((repeated.rounds for repeated in found.repeated.values()), default=0)
    source = Forward()
    found = reestimate_(warmed_up(build()), source, order="batch")
    assert source.passes == 1 + (build is not convolutional)


def test_the_rounds_go_no_further_than_the_last_call_that_matters() -> None:
    model, reached = warmed_up(Tied()), []
    model.head.register_forward_pre_hook(lambda *_: reached.append(1))
    reestimate_(model, batches(inputs().float()))
    assert len(reached) == 2 * (1 + 5)  # called twice in a pass; one pass over one batch says what it holds


@pytest.mark.parametrize("fails", [2, 4])
@pytest.mark.parametrize("build", [Interleaved, Amplifying], ids=lambda build: build.__name__)
def test_a_failure_in_a_round_gives_everything_back(build: Build, fails: int) -> None:
    model = warmed_up(build()).train()
    before = copy.deepcopy(model)
    with pytest.raises(OSError, match="disk is gone"):
        reestimate_(model, Forward(fails))
    assert_same_bits(model, before)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_calls_that_are_others_in_a_round_are_an_error_that_gives_everything_back() -> None:
    model = warmed_up(Counting())
    before = copy.deepcopy(model)
    with pytest.raises(ModelError, match=r"depends on the data \(3 calls are made in one pass, 2 in another\)"):
        reestimate_(model, batches(inputs().float()))
    assert_same_bits(model, before)


def test_what_can_be_gone_through_once_only_is_refused_before_the_first_pass_is_over() -> None:
    model, taken = warmed_up(Interleaved()), []
    before = copy.deepcopy(model)

    def stream() -> Iterator[Tensor]:
        for x in batches(inputs().float()):
            taken.append(1)
            yield x

    with pytest.raises(DataError, match=r"once only, and the layer one is called 3 times in a pass.*order batch"):
        reestimate_(model, stream(), samples=45)
    assert len(taken) == 1
    assert_same_bits(model, before)
    reestimate_(model, stream(), samples=45, sites=["own.*"])


def test_the_order_batch_measures_how_far_off_it_is_and_changes_nothing_by_that() -> None:
    parts = batches(inputs().float())
    model, once = warmed_up(Interleaved()), warmed_up(Interleaved())
    found = reestimate_(model, parts, order="batch")
    unmeasured = reestimate_(once, iter(parts), samples=45, order="batch")
    assert_same_bits(model, once)
    left = off(model, at_inference(model, inputs()))
    for name, repeated in found.repeated.items():
        assert (repeated.calls, repeated.rounds) == (unmeasured.repeated[name].calls, 0)
        assert (repeated.mean, repeated.log_variance) == pytest.approx(left[name], abs=1e-4)
        assert repeated.distance > 0.01
        assert math.isnan(unmeasured.repeated[name].distance)


class Shuffled:
    """A loader that shuffles."""

    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Iterator[Tensor]:
        return iter(inputs().float()[torch.randperm(45)].split(11))


def test_a_loader_that_shuffles_measures_in_the_order_batch_and_is_refused_in_order() -> None:
    assert reestimate_(warmed_up(Tied()), Shuffled(), order="batch").repeated["norm"].distance > 0.01
    with pytest.raises(DataError, match="turn shuffling"):
        reestimate_(warmed_up(Tied()), Shuffled())


def test_progress_is_told_of_the_rounds_and_comes_to_their_end() -> None:
    heard: list[Progress] = []
    found = reestimate_(warmed_up(Interleaved()), batches(inputs().float()), progress=heard.append)
    (rounds,) = {repeated.rounds for repeated in found.repeated.values()}
    told = [said.done for said in heard if said.stage != "reestimate"]
    assert told == [*range(1, rounds + 1), ROUNDS]
    assert {said.total for said in heard if said.stage != "reestimate"} == {ROUNDS}
