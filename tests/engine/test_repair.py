"""Sick networks in runs: named before anything else, cured by `repair`, and no number made of what is not finite."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate import PRESETS, Recipe, retrofit
from calibrate.engine import carry_out, probe
from calibrate.errors import DataError, ModelError, NonFiniteError, UsageError
from calibrate.report import BatchComparison, Compared, render_html, render_markdown, render_text
from calibrate.result import Summary
from calibrate.stats import reestimate
from calibrate.steps import (
    AlphaSearch,
    ChannelHealth,
    EstimationShift,
    LabelFreeAlpha,
    Measure,
    Measurement,
    NotApplicable,
    OutputBound,
    Reestimate,
    Reestimation,
    SearchAlpha,
    SetAlpha,
    Temperature,
)
from tests.builders.examples import examples
from tests.builders.examples import trained as plain
from tests.builders.networks import warmed_up
from tests.builders.runs import Memory, codes, messages, planned
from tests.builders.sick import (
    ILLNESSES,
    NETWORKS,
    Illness,
    never_filled_,
    not_a_number_,
    shrunk_,
    trained,
    waves,
)

MEASURE = Measure(resamples=100)
REPAIR = (Reestimate(only="sick"), Temperature(), MEASURE)


def with_nan(name: str = "residual") -> tuple[nn.Module, str, list[tuple[Tensor, int]]]:
    """A network that gives NaN for every example, the layer to blame, and data."""
    given = trained(name)
    not_a_number_(given.network.get_submodule(given.middle))
    return given.network, given.middle, given.data


def assert_running_statistics(one: nn.Module, other: nn.Module) -> None:
    """The same bits in all layers."""
    a, b = (
        {name: value for name, value in network.state_dict().items() if "running_" in name} for network in (one, other)
    )
    assert list(a) == list(b)
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


def measurement(summary: Summary) -> Measurement:
    assert summary.measurement is not None
    return summary.measurement


@pytest.mark.parametrize("illness", ILLNESSES.values(), ids=ILLNESSES)
@pytest.mark.parametrize("name", NETWORKS)
def test_repair_gives_the_sick_layer_the_statistics_of_its_inputs(name: str, illness: Illness) -> None:
    """Those that it would have in the network before it fell ill, bit for bit, in that layer, and in no other.

    Where variances are wrong in many channels that is all of the layer, else the channels that are sick alone.
    """
    sound, given = trained(name), trained(name)
    layer: Any = given.network.get_submodule(given.middle)
    before = layer.running_mean.clone(), layer.running_var.clone()
    illness.break_(layer)
    sick = (layer.running_mean != before[0]) | (layer.running_var != before[1])
    outcome = retrofit(given.network, Recipe(steps=REPAIR), data=given.data)
    half = planned(sound.network, PRESETS["measure"], given.data).given.split.calibration
    expected = reestimate(
        sound.network, torch.stack([given.data[row][0] for row in half]).split(64), sites=[sound.middle]
    )
    cure: Any = expected.get_submodule(given.middle)
    for buffer, own in zip((cure.running_mean, cure.running_var), before, strict=True):
        buffer.copy_(torch.where(sick, buffer, own))
    assert_running_statistics(outcome.model, expected)
    summary = outcome.summary
    assert summary.of(Reestimation)[0].partly == (() if sick.all() else (given.middle,))
    assert [(item.kind, item.layer) for item in summary.sick] == [(illness.kind, given.middle)]
    (message,) = messages(summary, illness.kind)
    assert given.middle in message
    assert "--recipe repair" in message
    assert [layer.name for layer in summary.of(Reestimation)[0].layers] == [given.middle]
    healthy = measurement(retrofit(sound.network, Recipe(steps=[Temperature(), MEASURE]), data=given.data).summary)
    cured = measurement(summary)
    assert cured.arm("tuned+T").metrics["top1"].value >= healthy.arm("T").metrics["top1"].value - 3.1 / cured.n
    assert cured.arm("tuned+T").metrics["nll"].value <= healthy.arm("T").metrics["nll"].value + 0.02


@pytest.mark.parametrize("name", NETWORKS)
def test_repair_fills_statistics_that_never_were(name: str) -> None:
    sound, given = trained(name), trained(name)
    never_filled_(given.network)
    summary = retrofit(given.network, Recipe(steps=REPAIR), data=given.data).summary
    assert {item.kind for item in summary.sick} == {"statistics-never-filled"}
    assert len(summary.of(Reestimation)[0].layers) == len(summary.sick)
    healthy = measurement(retrofit(sound.network, Recipe(steps=[Temperature(), MEASURE]), data=given.data).summary)
    cured = measurement(summary).arm("tuned+T").metrics
    assert cured["nll"].value <= healthy.arm("T").metrics["nll"].value + 0.02
    assert summary.verdict == "improved"


def test_the_preset_asks_for_the_sick_layers_alone_and_says_where_there_are_none() -> None:
    assert PRESETS["repair"].steps == (Reestimate(only="sick"), Temperature(), Measure())
    given = trained("series")
    outcome = retrofit(given.network, Recipe(steps=REPAIR), data=given.data)
    assert_running_statistics(outcome.model, given.network)
    assert outcome.summary.sick == ()
    (found,) = outcome.summary.of(Reestimation)
    assert (found.images, found.passes, found.layers, found.tuned_parts) == (0, 0.0, (), ())
    assert "Nothing was re-estimated: statistics health calls none of the matching layers sick." in render_text(
        outcome.summary
    )
    assert [scores.arm for scores in measurement(outcome.summary).arms] == ["original", "T"]
    assert outcome.summary.verdict is None


def test_only_matching_sick_layers_are_re_estimated() -> None:
    given = trained("series")
    for name in ("1", "4"):
        shrunk_(given.network.get_submodule(name))
    (found,) = retrofit(
        given.network, Recipe(steps=[Reestimate(only="sick", sites=["4", "7"])]), data=given.data
    ).summary.of(Reestimation)
    assert [layer.name for layer in found.layers] == ["4"]


def test_sick_is_how_the_network_stands_when_the_step_runs() -> None:
    given = trained("series")
    not_a_number_(given.network.get_submodule("4"))
    steps = [Reestimate(only="sick"), Reestimate(only="sick")]
    first, second = retrofit(given.network, Recipe(steps=steps), data=given.data).summary.of(Reestimation)
    assert [len(found.layers) for found in (first, second)] == [1, 0]


@pytest.mark.parametrize("recipe", ["repair", "adabn"])
def test_a_network_without_predictions_is_re_estimated_and_compared_with_guessing(recipe: str) -> None:
    network, layer, data = with_nan()
    outcome = retrofit(network, recipe, data=data)
    found = measurement(outcome.summary)
    reason = (
        f"NaN or Inf for {found.n} of {found.n} examples: the running statistics of {layer} (2 of 32 channels: 1, 2)"
    )
    assert [(item.arm, item.reason.split(" are not finite")[0]) for item in found.empty] == [
        ("original", reason), ("T", reason)
    ]  # fmt: skip
    assert [scores.arm for scores in found.arms] == ["tuned", "tuned+T"]
    assert (found.differences, found.changes) == ((), None)
    assert set(found.reliability) == {"tuned", "tuned+T"}
    with pytest.raises(UsageError, match=f"no scores.*{layer}"):
        found.arm("original")
    nll, top1 = (found.arm("tuned+T").metrics[metric] for metric in ("nll", "top1"))
    assert nll.high < np.log(3)
    assert top1.low > 1 / 3
    assert outcome.summary.verdict == "improved"
    said = "; ".join(outcome.summary.reasons)
    assert "no predictions at all, so the baseline is guessing among 3 classes (NLL 1.0986, top-1 33.33 %)" in said
    assert f"NLL tuned+T minus guesses: {nll.value - np.log(3):+.4f}" in said
    assert outcome.model(torch.stack([x for x, _ in data])).isfinite().all()
    text = outcome.summary.model_dump_json()
    assert Summary.model_validate_json(text) == outcome.summary
    json.loads(text, parse_constant=lambda constant: pytest.fail(constant))


def test_all_formats_have_the_empty_rows_and_say_why() -> None:
    network, layer, data = with_nan()
    summary = retrofit(network, Recipe(steps=REPAIR), data=data).summary
    for render in (render_text, render_markdown, render_html):
        page = " ".join(render(summary).split())
        assert f"No scores for original and T: NaN or Inf for {measurement(summary).n} of" in page
        assert layer in page
        assert "no scores: see below" in page
        assert "before (" not in page
        assert "against guessing, because the original network has no predictions at all" in page
    (run,) = (Compared(("model", "data", "repair"), summary),)
    fields = run.fields()
    assert (fields["top1_original"], fields["nll_t"], fields["change_nll"]) == (None, None, None)
    assert fields["top1_tuned_t"] == measurement(summary).arm("tuned+T").metrics["top1"].value
    comparison = BatchComparison((run,))
    assert "Improved: with re-estimated statistics against guessing" in comparison.text()
    assert comparison.html()
    json.loads(comparison.json())
    assert comparison.csv()


def test_a_network_that_does_not_beat_guessing_is_no_evidence() -> None:
    """Labels that have nothing to do with the inputs."""
    network, _, data = with_nan()
    draw = np.random.default_rng(0)
    shuffled = [(x, int(label)) for (x, _), label in zip(data, draw.permutation([y for _, y in data]), strict=True)]
    summary = retrofit(network, Recipe(steps=REPAIR), data=shuffled).summary
    assert summary.verdict == "no evidence"
    assert "near-chance" not in codes(summary)


class Overflowing(nn.Module):
    """A sound network that gives Inf for bright inputs while the first running mean of its last layer is far off."""

    def __init__(self) -> None:
        super().__init__()
        self.body = plain()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        bright = (x.mean((1, 2, 3)) > 0.6)[:, None]
        return torch.where(bright & (self.body[4].running_mean[0] > 50), torch.inf, out)  # type: ignore[index, union-attr]


def nll(logits: Tensor, labels: Any, temperature: float) -> Any:
    """Cross-entropy (n,) in float64 numpy."""
    z = logits.double().numpy() / temperature
    z = z - z.max(1, keepdims=True)
    return np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels]


def test_where_only_some_examples_have_no_prediction_the_others_count() -> None:
    """The baseline is the network with its temperature where it predicts, and guesses elsewhere."""
    network, data = Overflowing(), examples()
    network.body[4].running_mean[0] = 100.0  # type: ignore[index, union-attr]
    steps = [Reestimate(sites=["body.4"]), MEASURE]
    summary = retrofit(network, Recipe(steps=steps), data=data).summary
    found = measurement(summary)
    halves = planned(network, Recipe(steps=steps), data).given.split
    (logits, labels), (logits_c, labels_c) = (
        (network(torch.stack([data[row][0] for row in half])).detach(), np.array([data[row][1] for row in half]))
        for half in (halves.holdout, halves.calibration)
    )
    finite, finite_c = (part.isfinite().all(1).numpy() for part in (logits, logits_c))
    assert 0 < finite.sum() < len(finite)
    assert [item.arm for item in found.empty] == ["original", "T"]
    assert f"for {(~finite).sum()} of {len(finite)} examples" in found.empty[0].reason
    grid = np.exp(np.linspace(-3, 3, 6001))
    losses = [nll(logits_c[torch.from_numpy(finite_c)], labels_c[finite_c], t).mean() for t in grid]
    baseline = np.full(len(finite), np.log(3))
    baseline[finite] = nll(logits[torch.from_numpy(finite)], labels[finite], grid[int(np.argmin(losses))])
    change = found.arm("tuned+T").metrics["nll"].value - baseline.mean()
    right = (logits.argmax(1).numpy() == labels)[finite].sum() + (~finite).sum() / 3
    points = 100 * (found.arm("tuned+T").metrics["top1"].value - right / len(finite))
    first, said, top1 = summary.reasons
    assert "no predictions for some examples, and the baseline there is guessing among 3 classes" in first
    assert float(said.split("guesses: ")[1].split(",")[0]) == pytest.approx(change, abs=2e-4)
    assert float(top1.split("guesses: ")[1].split(" points")[0]) == pytest.approx(points, abs=0.006)


@pytest.mark.parametrize(
    "recipe",
    [
        "temperature", "measure", "alpha", "auto",
        [{"kind": "label_free_alpha"}], [{"kind": "label_free_alpha", "criterion": "estimation_shift"}],
        [{"kind": "learn_alpha", "epochs": 1}], [{"kind": "tune_affine", "epochs": 1}],
        [{"kind": "set_alpha", "alpha": 0.1}, MEASURE], [{"kind": "adaptation", "methods": [{"kind": "tent"}]}],
    ],
)  # fmt: skip
def test_what_needs_predictions_names_the_layer_and_the_cure(recipe: Any) -> None:
    network, layer, data = with_nan()
    with pytest.raises(ModelError) as caught:
        retrofit(network, recipe, data=data)
    said = str(caught.value)
    assert layer in said
    assert "`afternorm calibrate --recipe repair`, or {kind: reestimate, only: sick} as the first step" in said
    assert "half precision" not in said


def test_a_search_that_cannot_begin_ends_with_its_first_pass() -> None:
    network, _, data = with_nan("series")
    stages: list[str] = []
    with pytest.raises(NonFiniteError):
        retrofit(network, "alpha", data=data, progress=lambda progress: stages.append(progress.stage))
    assert len(set(stages)) == 1


def test_after_a_repair_all_of_it_works() -> None:
    network, _, data = with_nan()
    steps = [Reestimate(only="sick"), SearchAlpha(curve=False), Temperature(), MEASURE]
    summary = retrofit(network, Recipe(steps=steps), data=data).summary
    assert summary.last(AlphaSearch) is not None
    assert [item.arm for item in measurement(summary).empty] == ["original", "T"]
    assert summary.verdict == "improved"


def test_parameters_that_are_not_finite_have_no_cure() -> None:
    network, _, data = with_nan()
    with torch.no_grad():
        network.linear.weight[0, 0] = float("nan")  # type: ignore[index, union-attr]
    with pytest.raises(NonFiniteError, match=r"the parameter linear\.weight is not finite\. No recipe cures that"):
        retrofit(network, "repair", data=data)
    sound = trained("residual")
    with pytest.raises(NonFiniteError, match="half precision overflows"):
        retrofit(Loud(sound.network), "temperature", data=sound.data)


class Loud(nn.Module):
    """Infinite logits for no reason that a look at it shows."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out / 0


def test_a_repair_that_is_interrupted_goes_on_to_the_same_summary() -> None:
    network, _, data = with_nan("series")
    recipe = Recipe(steps=REPAIR)
    kept = Memory({}, 0)
    whole = carry_out(network, planned(network, recipe, data, trials=kept), "", {})
    assert kept.after
    for finished in range(len(kept.after)):
        again = carry_out(network, planned(network, recipe, data, trials=Memory(kept.after, finished)), "", {})
        assert again.summary.digest == whole.summary.digest


def test_the_old_statistics_count_nothing_where_they_are_not_finite() -> None:
    """With a prior the sound channels mix, and the others are the data's."""
    given, mixed = trained("series"), trained("series")
    layer: Any = given.network.get_submodule("4")
    not_a_number_(layer)
    steps = [Reestimate(sites=["4"], prior=100)]
    tuned: Any = retrofit(given.network, Recipe(steps=steps), data=given.data).model.get_submodule("4")
    usual: Any = retrofit(mixed.network, Recipe(steps=steps), data=given.data).model.get_submodule("4")
    fresh: Any = retrofit(mixed.network, Recipe(steps=[Reestimate(sites=["4"])]), data=given.data).model.get_submodule(
        "4"
    )
    broken = torch.zeros(12, dtype=torch.bool)
    broken[1:3] = True
    for name in ("running_mean", "running_var"):
        expected = torch.where(broken, getattr(fresh, name), getattr(usual, name))
        torch.testing.assert_close(getattr(tuned, name), expected, rtol=0, atol=0)


def test_how_far_statistics_moved_is_not_told_of_those_that_were_nowhere() -> None:
    network, layer, data = with_nan()
    summary = retrofit(network, Recipe(steps=[Reestimate()]), data=data).summary
    (found,) = summary.of(Reestimation)
    assert [(moved.mean, moved.log_variance) for moved in found.layers if moved.name == layer] == [(None, None)]
    assert all(moved.mean is not None for moved in found.layers if moved.name != layer)
    page = " ".join(render_text(summary).split())
    assert f"The running statistics of {layer} were not finite before" in page
    assert "of the other 6 layers, the running mean moved by up to" in page
    alone = retrofit(network, Recipe(steps=[Reestimate(only="sick")]), data=data).summary
    assert "moved by up to" not in render_text(alone)


def test_probes_name_the_layers_that_are_not_finite_before_they_sum_up_the_others() -> None:
    network, layer, data = with_nan()
    after = ["layer2.0.bn2", "layer3.0.bn1", "layer3.0.bn2"]
    shift = probe(network, "estimation_shift", data)
    assert isinstance(shift, EstimationShift)
    states = {item.name: item.not_finite for item in shift.layers}
    assert states == {**dict.fromkeys(["bn1", "layer1.0.bn1", "layer1.0.bn2"], ""), layer: "statistics",
                      **dict.fromkeys(after, "inputs")}  # fmt: skip
    assert all(
        (item.mean is None) == (item.mean_in_deviations is None) == bool(item.not_finite) for item in shift.layers
    )
    assert shift.correlation_with_depth is None
    first = (
        f"Not finite (NaN or Inf) are the running statistics of {layer} and the inputs of layer2.0.bn2, layer3.0.bn1 "
        "and layer3.0.bn2. "
    )
    words = shift.sections()[0].words[0]
    assert words.startswith(f"{first}ESM_σ is largest in ")
    assert f"of the other 3 layers (without {layer})" in words
    health = probe(network, "channel_health", data)
    assert isinstance(health, ChannelHealth)
    assert health.sections()[0].words[0].startswith(f"{first}Of 48 channels in the other 3 layers, ")
    for item in health.layers:
        assert (item.exploding is None) == bool(item.not_finite)
        assert (item.dead is None) == (item.not_finite == "statistics")
    bound = probe(network, {"kind": "output_bound", "train_batch_size": 32}, data)
    assert isinstance(bound, OutputBound)
    assert bound.sections()[0].words[0].startswith(f"{first}In inference ")
    for layer_bound in bound.layers:
        assert (layer_bound.outside is None) == (layer_bound.inference is None) == bool(layer_bound.not_finite)
        assert layer_bound.training is not None  # the batch's own statistics are finite
    noise = probe(network, {"kind": "statistic_noise", "deltas": [0.1]}, data)
    assert isinstance(noise, NotApplicable)
    assert layer in noise.reason
    for found in (shift, health, bound, noise):
        json.loads(found.model_dump_json(), parse_constant=lambda constant: pytest.fail(constant))


def test_the_report_of_probes_of_a_broken_network_is_whole() -> None:
    network, layer, data = with_nan()
    summary = retrofit(network, "probe", data=data).summary
    assert [item.layer for item in summary.sick] == [layer]
    assert "exploding-channels" not in codes(summary)
    assert "output-out-of-bound" not in codes(summary)
    for render in (render_text, render_markdown, render_html):
        assert layer in render(summary)


def test_all_layers_broken_have_no_shift_to_tell_of() -> None:
    network, _, data = with_nan("series")
    for name in ("1", "4", "7"):
        not_a_number_(network.get_submodule(name))
    shift = probe(network, "estimation_shift", data)
    assert shift.sections()[0].words[0].endswith("So no layer has a shift.")


def test_only_truly_sick_layers_are_in_the_summary() -> None:
    network = nn.Sequential(plain())
    network[0][1].running_var[:2] = 1e-6
    with torch.no_grad():
        network[0][0].weight[:2] = 0
        network[0][1].running_mean[:2] = 0
    summary = retrofit(network, Recipe(steps=[SetAlpha(alpha=0.1)]), data=examples()).summary
    assert "eps-matters" in codes(summary)
    assert summary.sick == ()


def test_repeated_layers_are_told_where_alpha_or_new_statistics_matter() -> None:
    from tests.builders.networks import Tied

    data = [(x, y) for x, y in examples(40)]
    told = {
        kind: "layer-repeated" in codes(retrofit(warmed_up(Tied()), recipe, data=data).summary)
        for kind, recipe in {
            "temperature": [{"kind": "temperature"}],
            "reestimate": [{"kind": "reestimate"}],
            "set_alpha": [{"kind": "set_alpha", "alpha": 0.1}],
        }.items()
    }
    assert told == {"temperature": False, "reestimate": True, "set_alpha": True}


def test_repair_needs_no_labels() -> None:
    network, layer, data = with_nan("series")
    unlabelled = [x for x, _ in data]
    with pytest.raises((UsageError, DataError)):
        retrofit(network, "repair", data=unlabelled)
    summary = retrofit(network, [{"kind": "reestimate", "only": "sick"}], data=data).summary
    assert [item.name for item in summary.of(Reestimation)[0].layers] == [layer]


def test_the_demo_network_is_cured_to_within_a_tenth_of_a_point(tmp_path: Path) -> None:
    """On 449 held-out digits: never filled, NaN, and shrunk to 0."""
    from calibrate import open_data, open_model
    from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING, write_inputs

    made = write_inputs(tmp_path)
    data = open_data(made.digits, preprocessing=PREPROCESSING)

    def scores(break_: Any, recipe: str, arm: Any) -> float:
        network = open_model(made.checkpoint, ARCHITECTURE, ARCHITECTURE_ARGS).model
        break_(network)
        return measurement(retrofit(network, recipe, data=data).summary).arm(arm).metrics["top1"].value

    healthy = scores(lambda network: None, "temperature", "T")
    for break_ in (
        never_filled_,
        lambda network: not_a_number_(network.get_submodule("layer2.0.bn1")),
        lambda network: shrunk_(network.get_submodule("layer3.0.bn2")),
    ):
        assert scores(break_, "repair", "tuned+T") >= healthy - 0.0045


def test_waves_are_learnable_and_not_trivial() -> None:
    """What the laws above compare would not tell anything of a network that is always, or never, right."""
    for name in NETWORKS:
        given = trained(name)
        with torch.no_grad():
            right = given.network(torch.stack([x for x, _ in given.data])).argmax(1)
        accuracy = float((right == torch.tensor([y for _, y in given.data])).double().mean())
        assert 0.8 < accuracy < 0.99
    assert waves(3, (4,), 0)[0][0].shape == (1, 4)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_examples_that_are_not_finite_are_to_blame_and_not_the_network(value: float) -> None:
    given = trained("residual")
    network = given.network
    calibrated = planned(network, Recipe(steps=(MEASURE,)), given.data).given.split.calibration[3]
    odd = [(torch.full_like(x, value) if i == calibrated else x, y) for i, (x, y) in enumerate(given.data)]
    with pytest.raises(NonFiniteError, match="1 of"):
        retrofit(network, "measure", data=odd)
    with pytest.raises(NonFiniteError, match="among the examples") as caught:
        retrofit(network, "adabn", data=odd)
    assert "repair" not in str(caught.value)


@pytest.mark.parametrize("recipe", [(SearchAlpha(),), (LabelFreeAlpha(),)], ids=["search", "label-free"])
def test_infinite_statistics_that_an_activation_hides_are_named_where_alpha_uncovers_them(recipe: Any) -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))
    warmed_up(network)
    network[1].running_mean[2] = torch.inf
    data = [(torch.randn(1, 8, 8), i % 3) for i in range(60)]
    with pytest.raises(NonFiniteError, match=r"the running statistics of 1 .* are not finite.*--recipe repair"):
        retrofit(network, Recipe(steps=recipe), data=data)
    auto = retrofit(network, "auto", data=data).summary
    assert Summary.model_validate_json(auto.model_dump_json()) == auto
