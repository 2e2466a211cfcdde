"""The step statistic_noise: its numbers are a loop's by hand, of the layers it names, and the network stays."""

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import Outcome, Recipe, retrofit
from calibrate.diagnose import disturbed
from calibrate.io import build
from calibrate.result import Summary
from calibrate.steps import ProbeResult, ProbeStatisticNoise, StatisticNoise
from calibrate.surgery import find_sites
from tests.builders.examples import CLASSES, examples, holdout, trained
from tests.builders.networks import warmed_up
from tests.builders.runs import codes, messages
from tests.builders.states import snapshot

DELTAS = (0.1, 0.9)
NETWORK = trained()


def probed(model: nn.Module, batch_size: int = 64, seed: int = 0, **fields: object) -> Outcome:
    step = ProbeStatisticNoise.model_validate({"deltas": DELTAS, **fields})
    return retrofit(model, Recipe(steps=(step,), seed=seed), data=examples(), batch_size=batch_size)


def noise(outcome: Outcome) -> StatisticNoise:
    (found,) = outcome.summary.of(ProbeResult)
    assert isinstance(found, StatisticNoise)
    return found


def names(outcome: Outcome) -> list[tuple[str, ...]]:
    return [curve.sites for curve in noise(outcome).curves]


def by_hand(model: nn.Module, sites: Sequence[str], granularity: str, seed: int) -> list[tuple[float, ...]]:
    x, labels = holdout(seed)
    model = copy.deepcopy(model)
    chosen = tuple(site for site in find_sites(model) if site.name in sites)
    levels = []
    for delta in DELTAS:
        top1, nll = [], []
        for repetition in range(6):
            with disturbed(chosen, delta, seed=seed, repetition=repetition, granularity=granularity), torch.no_grad():
                logits = model(x).double().numpy()
            top1.append((logits.argmax(1) == labels).mean())
            nll.append((np.log(np.exp(logits).sum(1)) - logits[np.arange(len(x)), labels]).mean())
        levels.append((np.mean(top1), np.std(top1, ddof=1), np.mean(nll), np.std(nll, ddof=1)))
    return levels


def numbers(found: StatisticNoise, curve: int = 0) -> list[tuple[float | None, ...]]:
    return [(level.top1, level.top1_sd, level.nll, level.nll_sd) for level in found.curves[curve].levels]


@pytest.mark.parametrize(("granularity", "seed"), [("channel", 0), ("layer", 7)])
def test_the_numbers_are_those_of_a_loop_by_hand(granularity: str, seed: int) -> None:
    outcome = probed(NETWORK, seed=seed, granularity=granularity, repetitions=6)
    found = noise(outcome)
    x, labels = holdout(seed)
    with torch.no_grad():
        logits = NETWORK(x)
    assert found.top1 == pytest.approx((logits.argmax(1).numpy() == labels).mean())
    assert found.nll == pytest.approx(float(nn.functional.cross_entropy(logits, torch.from_numpy(labels))))
    for level, expected in zip(numbers(found), by_hand(NETWORK, ("1", "4"), granularity, seed), strict=True):
        assert level == pytest.approx(expected, rel=1e-5)
    assert (found.images, found.repetitions, found.granularity, found.tuned) == (len(x), 6, granularity, False)
    assert outcome.summary.timings.passes == pytest.approx((1 + 2 * 6) * len(x) / outcome.summary.data.calibration)


def test_one_layer_at_a_time_is_as_if_it_were_the_only_one() -> None:
    each = probed(NETWORK, disturb="each", where="all")
    assert names(each) == [("1",), ("4",)]
    for place, (name,) in enumerate(names(each)):
        alone = noise(probed(NETWORK, sites=[name]))
        assert numbers(noise(each), place) == numbers(alone)


def test_neither_the_batch_size_nor_the_order_of_the_patterns_matters() -> None:
    one = numbers(noise(probed(NETWORK, sites=["1", "4"])))
    other = numbers(noise(probed(NETWORK, batch_size=7, sites=["4", "1"])))
    for level, expected in zip(one, other, strict=True):
        assert level == pytest.approx(expected, rel=1e-5)


def test_the_network_stays_as_it_came() -> None:
    before = snapshot(NETWORK).tensors
    outcome = probed(NETWORK)
    for state in (NETWORK.state_dict(), outcome.model.state_dict()):
        assert all(torch.equal(tensor, before[name]) for name, tensor in state.items())


RESIDUAL = ("layer1.0.bn1", "layer1.1.bn1", "layer1.2.bn1", "layer2.0.bn1", "layer2.1.bn1", "layer2.2.bn1")


@pytest.mark.parametrize(
    ("fields", "chosen", "expected"),
    [
        ({}, "first_of_blocks", RESIDUAL),
        ({"sites": ["*.bn2"]}, "first_of_blocks", tuple(name.replace("bn1", "bn2") for name in RESIDUAL)),
        ({"sites": ["layer3.*", "bn1"]}, "first_of_blocks", tuple(f"layer3.{block}.bn1" for block in range(3))),
        ({"sites": ["bn1"]}, "first_layers", ("bn1",)),
        ({"sites": ["layer1.*"], "where": "all"}, "all", tuple(f"layer1.{b}.bn{n}" for b in range(3) for n in (1, 2))),
    ],
)
def test_the_layers_are_chosen_by_rule(fields: dict[str, object], chosen: str, expected: tuple[str, ...]) -> None:
    model = warmed_up(build("cifar/resnet20", {"in_channels": 1, "num_classes": CLASSES}))
    outcome = probed(model, deltas=(0.5,), max_samples=2, **fields)
    assert (noise(outcome).chosen, names(outcome)) == (chosen, [expected])


def test_without_residual_blocks_it_is_the_first_six_layers_that_are_called() -> None:
    norms = [nn.BatchNorm2d(1) for _ in range(8)]
    model = nn.Sequential(*norms, nn.Flatten(), nn.Linear(64, CLASSES))
    model[7].unused = nn.BatchNorm2d(1)
    assert names(probed(model, max_samples=2)) == [tuple("012345")]
    outcome = probed(model, max_samples=2, where="all")
    assert names(outcome) == [tuple("01234567")]
    assert noise(probed(model, max_samples=2)).chosen == "first_layers"


def test_at_most_so_many_examples_are_drawn() -> None:
    whole, more, few = (probed(NETWORK, max_samples=count) for count in (None, 10_000, 10))
    assert numbers(noise(whole)) == numbers(noise(more))
    assert (noise(more).images, noise(few).images) == (45, 10)
    assert numbers(noise(probed(NETWORK, max_samples=10, seed=1))) != numbers(noise(few))
    assert few.summary.timings.passes == pytest.approx((1 + 2 * 5) * 10 / 45)


def offset(by: float) -> nn.Module:
    """The trained network, whose first layer's input is ``by`` higher everywhere: the same function."""
    model = copy.deepcopy(NETWORK)
    model[0].bias = nn.Parameter(torch.full((4,), by))
    model[1].running_mean += by
    return model


def test_a_network_that_hangs_on_exact_statistics_is_a_finding_that_names_the_layer() -> None:
    assert "noise-sensitive" not in codes(probed(offset(0.0)).summary)
    assert "noise-sensitive" not in codes(probed(offset(1000.0), deltas=(0.5,)).summary), "all noise here is large"
    outcome = probed(offset(1000.0), disturb="each")
    (message,) = messages(outcome.summary, "noise-sensitive")
    assert "the layer 1 " in message


def test_logits_that_are_not_finite_are_found() -> None:
    """In half precision a mean of −60,000 has no room for noise upward."""
    outcome = probed(offset(-60_000.0).half())
    strong = noise(outcome).curves[0].levels[-1]
    assert strong.broken > 0
    assert strong.nll is None
    assert np.isfinite(strong.top1)
    assert "noise-not-finite" in codes(outcome.summary)
    summary = outcome.summary
    assert Summary.model_validate_json(summary.model_dump_json()) == summary
