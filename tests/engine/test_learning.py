"""The steps ``learn_alpha`` and ``tune_affine``: learned on three quarters, judged on the fourth, honest and exact."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate import Outcome, Recipe, deliver, open_model, retrofit
from calibrate.data import hold_back, split
from calibrate.errors import DataError, ModelError, UsageError
from calibrate.nn import ExampleWeighed
from calibrate.recipe import Outputs
from calibrate.search import fit_temperature
from calibrate.steps import LearnAlpha, Learned, Learning, Measure, SetAlpha, Temperature, TuneAffine
from tests.builders.examples import examples, trained
from tests.builders.networks import Mixed, Tied, convolutional, factory, grouped, warmed_up
from tests.builders.runs import codes
from tests.builders.states import assert_same_bits, assert_untouched, snapshot

SEED = 3
QUICK = {"epochs": 2, "margin": 0.0, "batch_size": 8}
AFFINE = TuneAffine(lr=0.05, pull=0.01, **QUICK)
BY_LAYER = LearnAlpha(lr=1.0, pull=0.0, **QUICK)
BY_CHANNEL = LearnAlpha(lr=1.0, pull=0.0, per="channel", **QUICK)


def shifted(n: int = 90) -> list[tuple[Tensor, int]]:
    """Examples whose scale and offset the network was not trained on."""
    return [(3 * x + 4, y) for x, y in examples(n)]


def ran(*steps: object, model: nn.Module | None = None, **arguments: object) -> Outcome:
    recipe = Recipe.model_validate({"seed": SEED, "steps": steps})
    return retrofit(model or trained(), recipe, **{"data": shifted(), "batch_size": 16, **arguments})


def rows(data: list[tuple[Tensor, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Indices learned from, and held back."""
    labels = np.array([y for _, y in data])
    calibration = split(labels, SEED).calibration
    learned, held_back = hold_back(labels[calibration], SEED)
    return calibration[learned], calibration[held_back]


def improvable(step: Learning) -> tuple[tuple[SetAlpha, ...], list[tuple[Tensor, int]]]:
    """Steps and data that leave ``step`` something to gain: α takes away from the brightness, which is the class."""
    return ((SetAlpha(alpha=0.5),), examples()) if isinstance(step, LearnAlpha) else ((), shifted())


@pytest.mark.parametrize("step", [AFFINE, BY_CHANNEL], ids=lambda step: step.kind)
def test_t_is_fitted_on_what_was_held_back(step: Learning) -> None:
    """T is in the returned network's last layer, so that on those rows, and there alone, the best T is now 1."""
    steps, data = improvable(step)
    outcome = ran(*steps, step, Temperature(), data=data)
    (item,) = outcome.summary.of(Learned)
    assert item.kept
    learned, held_back = rows(data)
    assert (item.learned_from, item.held_back) == (len(learned), len(held_back))
    assert not set(learned) & set(held_back)
    with torch.inference_mode():
        fitted = {
            name: fit_temperature(
                outcome.model(torch.stack([data[row][0] for row in part])), torch.tensor([data[row][1] for row in part])
            ).value
            for name, part in (("held back", held_back), ("all", np.concatenate((learned, held_back))))
        }
    assert fitted["held back"] == pytest.approx(1, abs=1e-4)
    assert fitted["all"] != pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("step", [AFFINE, BY_LAYER], ids=lambda step: step.kind)
def test_nothing_is_learned_from_what_was_held_back_nor_from_the_holdout_half(step: Learning) -> None:
    step = step.model_copy(update={"epochs": 1})
    steps, data = improvable(step)
    learned, _ = rows(data)
    others = [(x if row in set(learned) else 0.98 * x, y) for row, (x, y) in enumerate(data)]
    one, two = (ran(*steps, step, data=which) for which in (data, others))
    assert one.summary.of(Learned)[0].kept == two.summary.of(Learned)[0].kept == 1
    assert one.summary.of(Learned)[0].epochs != two.summary.of(Learned)[0].epochs
    assert_same_bits(one.model, two.model)


def test_gamma_and_beta_alone_change_and_the_arm_is_tuned() -> None:
    outcome = ran(AFFINE.model_copy(update={"sites": ("4",)}), Temperature(), Measure(resamples=100))
    before, after = trained().state_dict(), outcome.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed - {"8.weight", "8.bias"} == {"4.weight", "4.bias"}  # T is in the last layer
    (item,) = outcome.summary.of(Learned)
    for tensor in item.changed:
        difference = (after[tensor.name] - before[tensor.name]).double()
        assert tensor.change == pytest.approx(float(difference.square().mean().sqrt()))
    assert [arm.arm for arm in outcome.summary.measurement.arms] == ["original", "T", "tuned", "tuned+T"]
    assert all(parameter.requires_grad and parameter.grad is None for parameter in outcome.model.parameters())


@pytest.mark.parametrize("step", [BY_LAYER, BY_CHANNEL], ids=lambda step: step.per)
def test_learned_alpha_is_stored_and_reopens(step: LearnAlpha, tmp_path: Path) -> None:
    outcome = ran(SetAlpha(alpha=0.1), step, Measure(resamples=100), architecture=factory(trained))
    assert [arm.arm for arm in outcome.summary.measurement.arms] == ["original", "T", "alpha", "alpha+T"]
    for site in outcome.summary.changes.sites:
        stored = outcome.model.get_submodule(site.names[0]).alpha
        assert isinstance(site.alpha, tuple) == (step.per == "channel")
        torch.testing.assert_close(torch.tensor(site.alpha), stored)
        assert not torch.allclose(stored, torch.tensor(0.1))
    delivery = deliver(outcome, trained(), tmp_path, Outputs(formats=("safetensors",), latency_runs=0))
    assert delivery.problems == ()
    reopened = open_model(tmp_path / "tuned.safetensors", factory(trained)).model
    assert_same_bits(reopened, outcome.model)


@pytest.mark.parametrize("step", [AFFINE, BY_LAYER, BY_CHANNEL], ids=lambda step: step.kind)
def test_where_nothing_helps_the_network_stays_bit_for_bit(step: Learning) -> None:
    outcome = ran(step.model_copy(update={"lr": 100.0, "margin": 1.0}))
    (item,) = outcome.summary.of(Learned)
    assert (item.kept, item.changed) == (0, ())
    assert_same_bits(outcome.model, trained())
    assert not any(isinstance(module, ExampleWeighed) for module in outcome.model.modules())


@pytest.mark.parametrize("step", [AFFINE, BY_CHANNEL], ids=lambda step: step.kind)
def test_two_runs_agree_and_the_caller_s_network_is_untouched(step: Learning) -> None:
    model = trained().train()
    before = snapshot(model)
    first = ran(step, Temperature(), Measure(resamples=100), model=model)
    assert_untouched(model, before)
    assert first.summary.digest == ran(step, Temperature(), Measure(resamples=100)).summary.digest
    assert all(module.training for module in first.model.modules())


@pytest.mark.parametrize(
    "changed",
    [
        {"epochs": 1}, {"epochs": 6, "patience": 1}, {"batch_size": 5}, {"lr": 0.2}, {"pull": 50.0}, {"margin": 10.0},
        {"sites": ("1",)},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("step", [AFFINE, BY_LAYER], ids=lambda step: step.kind)
def test_every_setting_changes_something(step: Learning, changed: dict[str, object]) -> None:
    against = {}
    if "patience" in changed:  # which it takes learning that falters to see
        step, against = step.model_copy(update={"lr": 20 * step.lr}), {"epochs": 6, "patience": 3}
    steps, data = improvable(step)
    one, two = (ran(*steps, step.model_copy(update=each), data=data).summary.of(Learned) for each in (against, changed))
    assert one != two


def test_passes_are_counted() -> None:
    """One for the start, and for each epoch three over what is learned from and one over what is held back."""
    summary = ran(AFFINE).summary
    (item,) = summary.of(Learned)
    epochs = len(item.epochs) - 1
    n = item.learned_from + item.held_back
    assert summary.timings.passes == pytest.approx(1 + epochs * (3 * item.learned_from + item.held_back) / n)


def test_tied_layers_learn_once_and_stay_tied() -> None:
    data = [(x, y + y // 2) for x, y in shifted()]
    for step in (AFFINE, BY_LAYER):
        outcome = ran(step, model=warmed_up(Tied()), data=data)
        assert [tensor.name.split(".")[0] for tensor in outcome.summary.of(Learned)[0].changed] in (
            [],
            ["norm"],
            ["norm"] * 2,
        )
        assert outcome.model.norm is outcome.model.again["norm"]


def test_group_norm_learns_an_alpha_below_one_for_each_layer() -> None:
    outcome = ran(BY_LAYER, model=warmed_up(grouped()))
    (item,) = outcome.summary.of(Learned)
    assert item.kept
    assert all(0 < site.alpha < 1 for site in outcome.summary.changes.sites)
    with pytest.raises(UsageError, match="is a GroupNorm, whose statistics span channels"):
        ran(BY_CHANNEL, model=warmed_up(grouped()))


def test_awkward_layers_learn_too() -> None:
    """Maps of one position, vectors, layers that must stay as they are."""
    outcome = ran(BY_CHANNEL, AFFINE, model=warmed_up(Mixed()))
    assert "site-skipped" in codes(outcome.summary)
    names = {tensor.name.rpartition(".")[0] for item in outcome.summary.of(Learned) for tensor in item.changed}
    assert names <= {"maps", "point", "vector"}


@pytest.mark.parametrize("step", [AFFINE, BY_CHANNEL], ids=lambda step: step.kind)
def test_bfloat16_networks_learn(step: Learning) -> None:
    outcome = ran(step, model=trained().bfloat16())
    assert outcome.summary.of(Learned)[0].kept
    assert {parameter.dtype for parameter in outcome.model.parameters()} == {torch.bfloat16}


def test_what_cannot_be_done_is_said_before_the_first_pass() -> None:
    heard: list[object] = []
    with pytest.raises(ModelError, match="no batch normalisation layers"):
        ran(BY_LAYER, model=nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), progress=heard.append)
    with pytest.raises(ModelError, match="no γ and β to tune"):
        ran(AFFINE, model=nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), progress=heard.append)
    for step in (AFFINE, BY_LAYER):
        with pytest.raises(ModelError, match=f"is float16, in which the gradients that {step.kind} follows"):
            ran(step, model=convolutional().half(), progress=heard.append)
        with pytest.raises(DataError, match="the calibration half has 7 examples"):
            ran(step, data=shifted(14), progress=heard.append)
        with pytest.raises(UsageError, match="'x' matches none"):
            ran(step.model_copy(update={"sites": ("x",)}), progress=heard.append)
    assert heard == []


class Exponential(nn.Module):
    """Infinite where what comes in is large."""

    def forward(self, x: Tensor) -> Tensor:
        return x.exp()


def test_learning_that_diverges_is_said() -> None:
    model = warmed_up(nn.Sequential(nn.BatchNorm2d(1), Exponential(), nn.Flatten(), nn.Linear(64, 3)))
    outcome = ran(AFFINE.model_copy(update={"lr": 100.0}), model=model, data=examples())
    assert "learning-diverged" in codes(outcome.summary)
    assert (outcome.summary.of(Learned)[0].kept, len(outcome.summary.of(Learned)[0].epochs)) == (0, 1)
    assert_same_bits(outcome.model, model)
