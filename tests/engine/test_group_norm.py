"""GroupNorm networks through the whole road: moments estimated, α chosen from 1 down, written, reopened, exported."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from calibrate import Outputs, Recipe, deliver, open_model, retrofit
from calibrate.data import split
from calibrate.engine import carry_out, inspect_model
from calibrate.errors import ModelError
from calibrate.nn import ExampleWeighedGroupNorm
from calibrate.steps import AlphaSearch, Measure, SearchAlpha, SetAlpha, Temperature
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.commands import Ran
from tests.builders.examples import calibration, examples, misplaced
from tests.builders.networks import Tied, factory, grouped, half_grouped, warmed_up
from tests.builders.runs import Counted, messages, planned
from tests.builders.states import assert_untouched, snapshot

SET = Recipe(steps=[SetAlpha(alpha=0.3), Temperature(), Measure(resamples=100)])
MOMENTS = {f"{site}.{name}" for site in (1, 4) for name in ("alpha", "running_mean", "running_var")}


def test_the_moments_are_those_of_the_layer_s_inputs_over_the_calibration_half() -> None:
    model, data = warmed_up(grouped()), examples()
    before = snapshot(model)
    outcome = retrofit(model, SET, data=data, batch_size=7)
    assert_untouched(model, before)
    with torch.inference_mode():
        x = calibration(data=data)[0]
        for place in (1, 4):
            inputs = model[:place](x).double().numpy()  # type: ignore[index]
            layer = outcome.model.get_submodule(str(place))
            assert isinstance(layer, ExampleWeighedGroupNorm)
            np.testing.assert_allclose(layer.running_mean, inputs.mean((0, 2, 3)), rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(layer.running_var, inputs.var((0, 2, 3)), rtol=1e-6)
            assert float(layer.alpha) == float(np.float32(0.3))
    assert outcome.model.state_dict().keys() == model.state_dict().keys() | MOMENTS
    assert [site.alpha for site in outcome.summary.changes.sites] == [0.3, 0.3]
    (message,) = messages(outcome.summary, "group-moments")
    assert "2 GroupNorm layers" in message
    assert "the 45 examples of the calibration half" in message


def test_a_group_of_one_channel_at_alpha_0_is_batch_norm_with_the_calibration_half_s_statistics() -> None:
    model, data = misplaced(), examples()
    tuned = retrofit(model, Recipe(steps=[SetAlpha(alpha=0.0, sites=("1",))]), data=data).model
    expected = copy.deepcopy(model)
    norm = nn.BatchNorm2d(4, momentum=None)
    norm.weight, norm.bias = expected[1].weight, expected[1].bias  # type: ignore[index, assignment]
    x = calibration(data=data)[0]
    with torch.no_grad():
        inputs = expected[0](x)  # type: ignore[index, operator]
        norm.train()(inputs)
        norm.running_var *= 1 - 1 / inputs[:, 0].numel()  # type: ignore[operator]  (torch keeps the unbiased one)
        expected[1] = norm.eval()  # type: ignore[index, operator]
        torch.testing.assert_close(tuned(x), expected(x), rtol=1e-4, atol=1e-4)


def test_a_layer_used_twice_gets_the_moments_of_both_uses() -> None:
    model = Tied()
    model.norm = model.again["norm"] = nn.GroupNorm(2, 4)  # type: ignore[assignment]
    warmed_up(model)
    data = examples()
    seen: list[Tensor] = []
    hook = model.norm.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    with torch.inference_mode():
        model(calibration(data=data)[0])
    hook.remove()
    layer: Any = retrofit(model, SET, data=data).model.norm
    inputs = torch.cat(seen).double()
    torch.testing.assert_close(layer.running_mean.double(), inputs.mean((0, 2, 3)), rtol=1e-6, atol=1e-6)


def test_alpha_1_is_the_network_as_it_came_bit_for_bit() -> None:
    model = warmed_up(grouped())
    tuned = retrofit(model, Recipe(steps=[SetAlpha(alpha=1.0)]), data=examples()).model
    x = torch.randn(5, 1, 8, 8)
    assert torch.equal(tuned(x), model(x))


def test_the_search_sets_out_from_1_and_wins_back_what_group_norm_forgot() -> None:
    outcome = retrofit(misplaced(), Recipe(steps=[SearchAlpha(maximum=1.0), Temperature(), Measure()]), data=examples())
    search, measurement = outcome.summary.last(AlphaSearch), outcome.summary.measurement
    assert search is not None
    assert measurement is not None
    alphas = [point.alpha for point in search.points]
    assert alphas == sorted(alphas, reverse=True)
    assert (alphas[0], alphas[-1] >= 0) == (1, True)
    assert 0 <= search.chosen == search.best_by_nll < 0.9
    assert [site.alpha for site in outcome.summary.changes.sites] == pytest.approx([search.chosen] * 2, rel=1e-6)
    assert outcome.summary.verdict == "improved"
    assert measurement.arm("original").metrics["top1"].value + 0.2 < measurement.arm("alpha+T").metrics["top1"].value


def test_a_search_that_ends_at_its_end_says_which() -> None:
    summary = retrofit(misplaced(), Recipe(steps=[SearchAlpha(maximum=0.1, curve=False)]), data=examples()).summary
    assert summary.last(AlphaSearch) is not None
    assert summary.last(AlphaSearch).chosen == 0.9
    assert messages(summary, "alpha-at-maximum")[0].startswith("the best α is the smallest that was tried, 0.9; raise")


def test_where_alpha_1_stays_the_network_keeps_its_layers() -> None:
    model = warmed_up(grouped())
    outcome = retrofit(model, Recipe(steps=[SearchAlpha(margin=10.0, curve=False), Measure()]), data=examples())
    assert outcome.summary.last(AlphaSearch) is not None
    assert outcome.summary.last(AlphaSearch).chosen == 1
    assert outcome.model.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("steps", "calibrating"),
    [((SetAlpha(alpha=0.4),), 1), ((SetAlpha(alpha=0.4), Temperature(), Measure(resamples=100)), 2)],
    ids=["moments", "moments, which see the plain logits, and tuned logits"],
)
def test_every_pass_is_counted(steps: Any, calibrating: int) -> None:
    data = Counted(examples())
    checked = planned(misplaced(), Recipe(steps=steps), data)
    data.streamed.clear()
    summary = carry_out(misplaced(), checked, "", {}).summary
    rows = set(split(data.labels, 0).calibration.tolist())
    assert sum(row in rows for row in data.streamed) / len(rows) == calibrating
    assert summary.timings.passes == calibrating + (2 if len(steps) > 1 else 0)


def test_a_second_step_finds_the_moments_there() -> None:
    recipe = Recipe(steps=[SetAlpha(alpha=0.2), SetAlpha(alpha=0.6, sites=("4",))])
    summary = retrofit(warmed_up(grouped()), recipe, data=examples()).summary
    assert [site.alpha for site in summary.changes.sites] == [0.2, 0.6]
    assert summary.timings.passes == 1
    assert len(messages(summary, "group-moments")) == 1


@pytest.mark.parametrize(
    ("steps", "alphas", "left"),
    [
        ([SetAlpha(alpha=0.1)], [0.1, None], True),
        ([SetAlpha(alpha=0.7, sites=("4",))], [None, 0.7], False),
        ([SetAlpha(alpha=0.1), SetAlpha(alpha=0.7, sites=("4",))], [0.1, 0.7], False),
    ],
    ids=["all", "GroupNorm alone", "one after the other"],
)
def test_beside_batch_norm_it_waits_to_be_named(steps: Any, alphas: list[float | None], left: bool) -> None:
    summary = retrofit(warmed_up(half_grouped()), Recipe(steps=steps), data=examples()).summary
    assert [site.alpha for site in summary.changes.sites] == alphas
    expected = ["the layer 4 was left as it is: it is a GroupNorm beside BatchNorm layers"] if left else []
    assert [message.split(";")[0] for message in messages(summary, "site-skipped")] == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_tuned_file_reopens_as_tuned_and_the_graph_is_proven(dtype: torch.dtype, tmp_path: Path) -> None:
    model = warmed_up(grouped()).to(dtype)
    torch.save(model.state_dict(), tmp_path / "plain.pt")
    opened = open_model(tmp_path / "plain.pt", factory(grouped))
    outcome = retrofit(opened.model, SET, data=examples(24), architecture=opened.architecture)
    delivery = deliver(outcome, opened.model, tmp_path / "out", Outputs(latency_runs=0))
    formats = [artifact.format for artifact in delivery.summary.artifacts]
    assert formats == (["safetensors"] if dtype == torch.bfloat16 else ["safetensors", "onnx"])
    again = open_model(tmp_path / "out" / "tuned.safetensors", factory(grouped))
    state = again.model.state_dict()
    assert state.keys() == model.state_dict().keys() | MOMENTS
    assert {state[name].dtype for name in MOMENTS} == {torch.float32}
    assert {name for name, _ in again.model.named_parameters()} == {name for name, _ in model.named_parameters()}
    x = torch.randn(3, 1, 8, 8).to(dtype)
    assert torch.equal(again.model(x), outcome.model(x))
    assert not torch.equal(again.model(x), model(x))
    assert [site.alpha for site in inspect_model(again).sites] == [0.3, 0.3]
    more = retrofit(again.model, Recipe(steps=[SetAlpha(alpha=0.5)]), data=examples(24)).summary
    assert (more.timings.passes, messages(more, "group-moments")) == (0, [])


def test_without_affine_parameters_it_goes_the_same_way(tmp_path: Path) -> None:
    model = warmed_up(grouped())
    model[1] = nn.GroupNorm(2, 4, affine=False)  # type: ignore[index, operator]
    outcome = retrofit(model, SET, data=examples())
    assert deliver(outcome, model, tmp_path / "out", Outputs(latency_runs=0)).problems == ()


def test_a_file_with_alpha_but_no_moments_is_explained(tmp_path: Path) -> None:
    model = warmed_up(grouped())
    weigh_examples_(model, find_sites(model), 0.3)
    state = {name: tensor for name, tensor in model.state_dict().items() if "4.running" not in name}
    safetensors.torch.save_file(state, tmp_path / "bad.safetensors")
    with pytest.raises(ModelError, match=r"2 missing from the file: 4\.running_mean, 4\.running_var"):
        open_model(tmp_path / "bad.safetensors", factory(grouped))


def test_inspect_says_what_can_be_done(tmp_path: Path, afternorm: Any) -> None:
    torch.save(warmed_up(grouped()).state_dict(), tmp_path / "plain.pt")
    architecture = ("--architecture", factory(grouped))
    shown: Ran = afternorm("inspect", "--model", tmp_path / "plain.pt", *architecture)
    assert shown.out.count("GroupNorm") == shown.out.count("as at α = 1; moments for α < 1 are estimated first") == 2
    assert "cannot be tuned" not in shown.out
