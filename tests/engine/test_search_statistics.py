"""The step ``search_statistics`` in a run, and the recipes that begin with it."""

import copy
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import PRESETS, Outcome, Recipe, retrofit
from calibrate.data import split
from calibrate.data.iterable import Examples
from calibrate.engine import carry_out
from calibrate.engine.passes.batches import drawn
from calibrate.errors import ModelError, UsageError
from calibrate.stats import reestimate
from calibrate.steps import (
    Auto,
    Leaderboard,
    Measure,
    Reestimation,
    SearchStatistics,
    StatisticsSearch,
    Temperature,
)
from tests.builders.examples import Example, calibration, examples, trained
from tests.builders.networks import Mixed, Tied, grouped, warmed_up
from tests.builders.runs import Counted, Memory, codes, planned
from tests.builders.states import assert_same_bits, assert_same_statistics

SEARCH = SearchStatistics()
MEASURE = Measure(resamples=100)
#: Labels count nothing against so large a margin.
NEVER = SearchStatistics(margin=10)


def shifted(n: int = 120) -> list[Example]:
    """Examples as through another camera: less contrast, and brighter."""
    return [(0.4 * x + 1.2, y) for x, y in examples(n, seed=3)]


def unlabelled(folder: Path, data: list[Example]) -> Path:
    np.savez(folder / "bare.npz", x=np.stack([x.numpy() for x, _ in data]))
    return folder / "bare.npz"


def run(step: SearchStatistics, data: list[Example], network: nn.Module | None = None, **options: Any) -> Outcome:
    return retrofit(network or trained(), Recipe(steps=[step, Temperature(), MEASURE]), data=data, **options)


def search_of(outcome: Outcome) -> StatisticsSearch:
    (found,) = outcome.summary.of(StatisticsSearch)
    return found


@cache
def on_shifted() -> Outcome:
    return run(SEARCH, shifted())


def weights_of(found: StatisticsSearch, names: list[str]) -> dict[str, float]:
    first, last = found.chosen
    return {name: first + (last - first) * place / (len(names) - 1) for place, name in enumerate(names)}


def test_the_network_has_the_chosen_mix_of_the_calibration_half() -> None:
    found = search_of(on_shifted())
    assert found.chosen != (1.0, 1.0)
    x, _ = calibration(data=shifted())
    assert_same_statistics(on_shifted().model, reestimate(trained(), [x], weight=weights_of(found, ["1", "4"])))
    assert (found.n, found.searched_images, found.images) == (60, 60, 60)
    first, last = (None if weight == 1 else 60 * weight / (1 - weight) for weight in found.chosen)
    assert found.prior == (first, last)
    assert [layer.name for layer in found.layers] == ["1", "4"]
    assert found.tuned_parts == ("mixed statistics",)


def test_each_point_is_the_network_with_that_mix() -> None:
    found = search_of(on_shifted())
    x, y = calibration(data=shifted())
    for point in found.points:
        weights = weights_of(found.model_copy(update={"chosen": (point.first, point.last)}), ["1", "4"])
        network = reestimate(trained(), [x], weight=weights).eval()
        with torch.no_grad():
            logits = network(x)
        assert point.top1 == pytest.approx(float((logits.argmax(1) == torch.from_numpy(y)).double().mean()))
        nll = torch.nn.functional.cross_entropy(logits.double(), torch.from_numpy(y))
        assert point.nll == pytest.approx(float(nll), rel=1e-4)
        at_t = torch.nn.functional.cross_entropy(logits.double() / point.temperature, torch.from_numpy(y))
        assert point.value == pytest.approx(float(at_t), rel=1e-4)


def test_it_makes_few_passes_and_counts_them() -> None:
    found = search_of(on_shifted())
    assert len(found.points) <= 10
    assert found.passes == len(found.points) + 1
    assert on_shifted().summary.timings.passes == found.passes + 1 + 1  # the holdout half, of both networks


def test_where_nothing_convinces_the_network_stays_to_the_last_bit() -> None:
    outcome = run(NEVER, shifted())
    assert search_of(outcome).chosen == (1.0, 1.0)
    assert search_of(outcome).layers == ()
    assert "so the stored statistics stay" in search_of(outcome).reason
    alone = retrofit(trained(), Recipe(steps=[Temperature(), MEASURE]), data=shifted())
    assert_same_bits(outcome.model, alone.model)
    assert outcome.summary.verdict == alone.summary.verdict


@pytest.mark.parametrize(("criterion", "labels"), [("labels", True), ("mutual_information", False)])
def test_both_criteria_find_the_shift(criterion: str, labels: bool, tmp_path: Path) -> None:
    data: Any = shifted() if labels else unlabelled(tmp_path, shifted())
    step = SearchStatistics(criterion=criterion)  # type: ignore[arg-type]
    outcome = retrofit(trained(), Recipe(steps=[step]), data=data)
    assert search_of(outcome).chosen[1] < 1
    assert all((point.top1 is not None) == labels for point in search_of(outcome).points)


def test_labels_are_asked_for_only_where_they_are_the_criterion(tmp_path: Path) -> None:
    assert SEARCH.needs_labels
    assert not SearchStatistics(criterion="mutual_information").needs_labels
    with pytest.raises(UsageError, match="search_statistics cannot do without"):
        retrofit(trained(), Recipe(steps=[SEARCH]), data=unlabelled(tmp_path, shifted()))


@pytest.mark.parametrize("build", [Tied, Mixed], ids=lambda b: b.__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_awkward_networks_are_searched(build: type[nn.Module], dtype: torch.dtype) -> None:
    network = warmed_up(build()).to(dtype)
    if build is Mixed:
        network.batch_only = nn.Identity()
    outcome = run(SearchStatistics(margin=0), shifted(), network)
    found = search_of(outcome)
    assert len(found.points) >= 6
    assert all(np.isfinite(point.value) for point in found.points)
    assert next(outcome.model.parameters()).dtype == dtype


def test_as_many_examples_as_fit_into_memory_are_searched_and_all_estimated() -> None:
    outcome = run(SearchStatistics(memory_mib=20, margin=0), shifted(), batch_size=16)
    found = search_of(outcome)
    assert (found.n, found.searched_images) == (32, 32)
    assert found.memory_bytes == 20 << 20
    assert found.chosen != (1.0, 1.0)
    assert found.images == 60
    x, _ = calibration(data=shifted())
    expected = reestimate(trained(), x.split(16), weight=weights_of(found, ["1", "4"]))
    assert_same_statistics(outcome.model, expected)
    assert found == search_of(run(SearchStatistics(memory_mib=20, margin=0), shifted(), batch_size=16))


def test_resumed_after_any_number_of_passes_it_ends_the_same() -> None:
    recipe = Recipe(steps=[SearchStatistics(margin=0), Temperature(), MEASURE])

    def carried_out(memory: Memory) -> tuple[Outcome, int]:
        source = Counted(shifted())
        checked = planned(trained(), recipe, source, batch_size=16, trials=memory)
        before = len(source.streamed)
        return carry_out(trained(), checked, "", {}), len(source.streamed) - before

    memory = Memory({}, 0)
    whole, streamed = carried_out(memory)
    assert len(memory.after) >= 8
    for finished in range(len(memory.after) + 1):
        resumed, again = carried_out(Memory(memory.after, finished))
        assert resumed.summary.digest == whole.summary.digest
        assert resumed.summary.timings.passes == whole.summary.timings.passes
        assert_same_bits(resumed.model, whole.model)
        assert again <= streamed
    assert again < streamed / 3


def test_a_candidate_that_comes_to_another_is_not_tried_twice() -> None:
    quick_steps = PRESETS["quick"].steps[0]
    candidates = [
        candidate.model_copy(update={"steps": (NEVER, *candidate.steps[1:])})
        if candidate.name.startswith("statistics")
        else candidate
        for candidate in quick_steps.candidates  # type: ignore[attr-defined]
    ]
    outcome = retrofit(trained(), Recipe(steps=[Auto(candidates=candidates)]), data=shifted())
    (board,) = outcome.summary.of(Leaderboard)
    assert board.row("statistics, α").state == "not applicable"
    assert "the same as α" in board.row("statistics, α").note
    assert board.row("statistics").state == board.row("α").state == "measured"


def test_statistics_may_be_of_training_data() -> None:
    training = [(0.4 * x + 1.2, y) for x, y in examples(70, seed=9)]
    outcome = run(SearchStatistics(on="training"), shifted(), training=training)
    found = search_of(outcome)
    assert (found.n, found.images, found.on) == (60, 70, "training")
    x = torch.stack([x for x, _ in training])
    assert found.chosen != (1.0, 1.0)
    assert_same_statistics(outcome.model, reestimate(trained(), [x], weight=weights_of(found, ["1", "4"])))


def test_only_matching_layers_change() -> None:
    outcome = run(SearchStatistics(sites=("4",), margin=0), shifted())
    assert torch.equal(outcome.model[1].running_mean, trained()[1].running_mean)
    assert not torch.equal(outcome.model[4].running_mean, trained()[4].running_mean)
    assert all(point.first == point.last for point in search_of(outcome).points)


def test_networks_without_running_statistics_are_refused() -> None:
    with pytest.raises(ModelError, match="the network has nothing to re-estimate"):
        run(SEARCH, shifted(), warmed_up(grouped()))


def test_a_weight_given_in_the_recipe_is_said_both_ways() -> None:
    def found(**fields: Any) -> Reestimation:
        recipe = Recipe.model_validate({"steps": [{"kind": "reestimate", **fields}]})
        (result,) = retrofit(trained(), recipe, data=shifted()).summary.of(Reestimation)
        return result

    by_weight, by_prior = found(weight=0.75), found(prior=180)
    assert (by_weight.weight, by_weight.prior) == (by_prior.weight, by_prior.prior) == (0.75, 180)
    assert (found().weight, found().prior) == (0.0, 0.0)
    assert (found(weight=1).weight, found(weight=1).prior) == (1.0, None)
    for mine, other in zip(by_weight.layers, by_prior.layers, strict=True):
        assert mine.mean == pytest.approx(other.mean, rel=1e-5)


def test_prior_and_weight_exclude_each_other() -> None:
    with pytest.raises(ValueError, match=r"prior is 8 and weight 0\.5"):
        Recipe.model_validate({"steps": [{"kind": "reestimate", "prior": 8, "weight": 0.5}]})


def test_the_report_has_the_curve_and_the_chosen_mix() -> None:
    (section,) = search_of(on_shifted()).sections()
    assert section.table is not None
    assert section.figure is not None
    assert len(section.table.rows) == len(search_of(on_shifted()).points)
    assert [row.note for row in section.table.rows].count("chosen") == 1


@cache
def quick() -> Outcome:
    return retrofit(trained(), "quick", data=shifted())


def test_quick_measures_t_statistics_alpha_and_both_in_36_passes() -> None:
    (board,) = quick().summary.of(Leaderboard)
    assert [row.name for row in board.rows] == ["original", "T", "statistics", "α", "statistics, α"]
    assert all(row.state == "measured" for row in board.rows)
    assert quick().summary.timings.passes <= 36
    assert board.recommended == "statistics"
    assert quick().summary.verdict == "improved"


def test_quick_names_what_does_not_apply() -> None:
    network = nn.Sequential(*warmed_up(grouped()).children())
    outcome = retrofit(copy.deepcopy(network), "quick", data=shifted())
    (board,) = outcome.summary.of(Leaderboard)
    states = {row.name: row.state for row in board.rows}
    assert states["statistics"] == states["statistics, α"] == "not applicable"
    assert states["α"] == "measured"
    assert "nothing to re-estimate" in board.row("statistics").note


def test_quick_without_labels_goes_by_mutual_information_and_says_what_cannot_be_known(tmp_path: Path) -> None:
    outcome = retrofit(trained(), "quick", data=unlabelled(tmp_path, shifted()))
    assert [step.kind for step in outcome.summary.recipe.steps] == ["search_statistics"]
    assert search_of(outcome).criterion == "mutual_information"
    assert outcome.summary.verdict is None
    assert "no-labels" in codes(outcome.summary)
    with pytest.raises(UsageError, match="the step auto cannot do without"):
        retrofit(trained(), "auto", data=tmp_path / "bare.npz")


def test_the_presets() -> None:
    assert [step.kind for step in PRESETS["statistics"].steps] == ["search_statistics", "temperature", "measure"]
    assert PRESETS["quick"].without_labels != PRESETS["quick"]
    limited = Recipe(steps=[PRESETS["quick"].steps[0].model_copy(update={"max_passes": 20.0})])
    assert limited.without_labels == PRESETS["quick"].without_labels
    assert all(recipe.without_labels == recipe for name, recipe in PRESETS.items() if name != "quick")


def test_the_memory_of_a_search_does_not_grow_with_the_examples() -> None:
    """Unbounded, the 250 images that are searched hold 1.6 GB at the widest place."""
    command = [sys.executable, "-m", "tests.benchmarks.statistics_memory", "--images", "500", "--memory", "160"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    searched = int(said.split("searched on ")[1].split(",")[0])
    before, after = (float(part.split(" MiB")[0].split()[-1]) for part in said.split("peak ")[1].split(", "))
    assert searched < 60
    assert "estimated on 250" in said
    assert after - before < 900


def test_what_all_examples_do_not_confirm_is_not_taken() -> None:
    """The few that fit into memory gain; the others are labelled as the network as it came predicts them."""
    data = shifted()
    half = split(np.array([y for _, y in data]), 0).calibration
    searched = set(drawn(half, 32, 0).tolist())
    predicted = trained()(torch.stack([x for x, _ in data])).argmax(1).tolist()
    relabelled = [
        (x, predicted[index] if index in half and index not in searched else y) for index, (x, y) in enumerate(data)
    ]
    given = SearchStatistics(memory_mib=20, margin=0.5)
    source = Examples(relabelled, name="examples", preprocessing=None)
    parts = split(np.array([y for _, y in data]), 0)
    checked = planned(trained(), Recipe(steps=[given]), source, batch_size=16)
    checked = replace(checked, given=replace(checked.given, split=parts))
    (found,) = carry_out(trained(), checked, "", {}).summary.of(StatisticsSearch)
    assert found.n == 32
    assert "evaluated once more, it beat λ = 1 only" in found.reason
    assert (found.chosen, found.gain, found.layers) == ((1.0, 1.0), 0.0, ())


@pytest.mark.parametrize(("passes", "measured"), [(36, {"statistics", "α", "statistics, α"}), (20, {"statistics"})])
def test_a_budget_pays_for_what_candidates_share_once_and_for_the_simplest_first(
    passes: float, measured: set[str]
) -> None:
    recipe = Recipe(steps=[PRESETS["quick"].steps[0].model_copy(update={"max_passes": passes})])
    outcome = retrofit(trained(), recipe, data=shifted())
    (board,) = outcome.summary.of(Leaderboard)
    assert board.rungs == ()
    assert measured <= {row.name for row in board.rows if row.state == "measured"}
    assert outcome.summary.timings.passes <= passes + 2  # the measurement's own


def test_one_example_tells_nothing() -> None:
    found = search_of(retrofit(trained(), Recipe(steps=[SearchStatistics(margin=0.1)]), data=shifted(2)))
    assert (found.n, found.chosen) == (1, (1.0, 1.0))
