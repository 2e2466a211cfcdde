"""Layers that no input reaches: α is given only where inputs arrive, and a run says where they do not."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from calibrate import Recipe, retrofit
from calibrate.engine import Outcome
from calibrate.steps import (
    IEW,
    Adapt,
    AlphaSearch,
    LabelFreeAlpha,
    LearnAlpha,
    LearnedAlpha,
    Measure,
    Reestimate,
    Reestimation,
    SearchAlpha,
    SetAlpha,
    StepValue,
    StreamLearning,
    Temperature,
)
from tests.builders.examples import examples
from tests.builders.networks import warmed_up
from tests.builders.runs import codes, messages


class Domains(nn.Module):
    """A layer for each of three sites, of which the second is in use; a spare convolution's; the head's."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)
        self.site = nn.ModuleList([nn.BatchNorm2d(4) for _ in range(3)])
        self.auxiliary = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.site[1](self.convolution(x)))
        if self.training:
            x = x + self.auxiliary(x)
        out: Tensor = self.head(torch.relu(self.second(x)).mean((2, 3)))
        return out


class Functional(nn.Module):
    """BatchNorm that a function applies."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        own, x = self.norm, self.convolution(x)
        x = nn.functional.batch_norm(x, own.running_mean, own.running_var, own.weight, own.bias, False, 0, own.eps)
        out: Tensor = self.head(torch.relu(x).mean((2, 3)))
        return out


def split(*, gated: bool = True) -> nn.Module:
    """Timm's layer for augmentation splits, whose auxiliary layers rest in inference; ``gated`` it does more."""
    timm = pytest.importorskip("timm.layers")

    class Gated(timm.SplitBatchNorm2d):  # type: ignore[misc, name-defined]
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = super().forward(x) + x.mean((2, 3), keepdim=True)
            return y

    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        (Gated if gated else timm.SplitBatchNorm2d)(4, num_splits=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


WORKING = ["site.1", "second.1"]
IDLE = ["site.0", "site.2", "auxiliary.1"]
STEPS: dict[str, StepValue] = {
    "set": SetAlpha(alpha=0.3),
    "search": SearchAlpha(curve=False, maximum=0.3),
    "label-free": LabelFreeAlpha(),
    "learn": LearnAlpha(epochs=2, margin=0),
    "learn per channel": LearnAlpha(epochs=2, per="channel", margin=0),
    "iew": Adapt(method=IEW(alpha=0.3)),
}


def tuned(build: Callable[[], nn.Module], *steps: StepValue) -> tuple[nn.Module, Outcome]:
    network = warmed_up(build())
    return network, retrofit(network, Recipe(steps=steps), data=examples())


def difference(one: nn.Module, other: nn.Module) -> float:
    x = torch.stack([x for x, _ in examples(30)])
    with torch.no_grad():
        return float((one(x) - other(x)).abs().max())


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_alpha_is_given_only_where_inputs_arrive(step: StepValue) -> None:
    _, outcome = tuned(Domains, step)
    weighed = [site.names[0] for site in outcome.summary.changes.sites if site.alpha is not None]
    assert set(weighed) <= set(WORKING)
    assert not any(f"{name}.alpha" in outcome.model.state_dict() for name in IDLE)
    if isinstance(step, SetAlpha | Adapt):
        assert weighed == WORKING
    (message,) = messages(outcome.summary, "layer-idle")
    assert message.startswith("no input reaches 3 layers (site.0; site.2; auxiliary.1).")
    assert "alpha-unused" not in codes(outcome.summary)


def test_one_alpha_per_working_layer_is_learned() -> None:
    _, outcome = tuned(Domains, LearnAlpha(epochs=2, margin=0))
    (found,) = outcome.summary.of(LearnedAlpha)
    assert {item.name for item in found.changed} <= {f"{name}.alpha" for name in WORKING}


@pytest.mark.parametrize("build", [Functional, split], ids=["function", "split"])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_where_none_weighs_the_network_stays_and_the_run_says_so(
    build: Callable[[], nn.Module], step: StepValue
) -> None:
    network, outcome = tuned(build, step)
    assert difference(network, outcome.model) == 0
    assert list(outcome.model.state_dict()) == list(network.state_dict())
    assert outcome.summary.changes.alphas == ()
    (message,) = messages(outcome.summary, "alpha-unused")
    assert "α does nothing here" in message
    assert ("applied by a function" if build is Functional else "cannot weigh an example") in message
    assert outcome.summary.of(AlphaSearch) == ()
    (idle,) = messages(outcome.summary, "layer-idle")
    assert ("norm" if build is Functional else "1.aux_bn.0") in idle
    assert next(item for item in outcome.summary.findings if item.code == "alpha-unused").severity == "warning"


def test_a_split_layer_is_weighed_and_its_auxiliary_layers_are_named() -> None:
    network, outcome = tuned(partial(split, gated=False), SetAlpha(alpha=0.3))
    assert [site.alpha for site in outcome.summary.changes.sites] == [0.3, None]
    assert difference(network, outcome.model) > 0
    (idle,) = messages(outcome.summary, "layer-idle")
    assert "1.aux_bn.0" in idle


def test_a_recipe_goes_on_where_alpha_does_nothing() -> None:
    _, outcome = tuned(Functional, SearchAlpha(), Temperature(), Measure(resamples=100))
    assert outcome.summary.measurement is not None
    assert [scores.arm for scores in outcome.summary.measurement.arms] == ["original", "T"]
    assert outcome.summary.verdict is None


def test_patterns_that_match_idle_layers_alone() -> None:
    network, outcome = tuned(Domains, SetAlpha(alpha=0.3, sites=["site.0", "auxiliary.*"]))
    assert difference(network, outcome.model) == 0
    (message,) = messages(outcome.summary, "alpha-unused")
    assert "no input reaches 2 layers, site.0 first, that could weigh" in message
    assert "site.1, which one reaches, is not among the `sites` of the step" in message


def test_group_norm_is_weighed_where_batch_norm_is_idle() -> None:
    """And where both work, it is passed over: BatchNorm goes first."""

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU())
            self.spare = nn.BatchNorm2d(4)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(self.body(x).mean((2, 3)))
            return out

    _, outcome = tuned(Half, SetAlpha(alpha=0.5))
    assert [(site.names[0], site.alpha) for site in outcome.summary.changes.sites] == [("body.1", 0.5), ("spare", None)]
    assert "site-skipped" not in codes(outcome.summary)


def test_re_estimation_has_the_same_finding_and_no_second() -> None:
    network, outcome = tuned(Domains, Reestimate())
    assert [layer.name for layer in outcome.summary.of(Reestimation)[0].layers] == WORKING
    assert codes(outcome.summary).count("layer-idle") == 1
    for name in IDLE:
        old: Any = network.get_submodule(name)
        new: Any = outcome.model.get_submodule(name)
        assert torch.equal(old.running_mean, new.running_mean)


def test_iew_says_what_it_did() -> None:
    _, outcome = tuned(Functional, Adapt(method=IEW(alpha=0.3)))
    assert len(outcome.summary.of(StreamLearning)) == 1
    assert "alpha-unused" in codes(outcome.summary)
