"""Retrofitting: the caller's network stays untouched, the holdout half undecided, and the numbers are right."""

import copy
import typing
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate import PRESETS, Outcome, Recipe, retrofit
from calibrate.data import split
from calibrate.engine import HANDLERS, carry_out
from calibrate.errors import DataError, ModelError
from calibrate.recipe import Step
from calibrate.steps import AlphaSearch, Measure, SearchAlpha, SetAlpha, Temperature
from calibrate.surgery import find_sites, select, weigh_examples_
from tests.builders.examples import CLASSES, examples, trained
from tests.builders.networks import Mixed, Tied, convolutional, warmed_up
from tests.builders.runs import Counted, codes, messages, planned
from tests.builders.states import assert_untouched, snapshot, storages


def test_the_table_of_steps_is_the_union_of_steps() -> None:
    union = typing.get_args(typing.get_args(Step)[0])
    assert set(HANDLERS) == set(union)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("build", [trained, lambda: warmed_up(Tied()), lambda: warmed_up(Mixed())])
def test_the_caller_s_network_is_untouched(build: "typing.Callable[[], nn.Module]", training: bool) -> None:
    model = build().train(training)
    before = snapshot(model)
    data = [(x, y) for x, y in examples(40)]
    outcome = retrofit(model, PRESETS["alpha"], data=data)
    assert_untouched(model, before)
    assert not storages(outcome.model) & storages(model)
    assert all(module.training is training for module in outcome.model.modules())


class FailsLater:
    """Examples that can no longer be read on the fourth pass."""

    def __init__(self) -> None:
        self.passes = 0

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        self.passes += 1
        for number, example in enumerate(examples(40)):
            if self.passes > 4 and number > 20:
                raise OSError("the disk is gone")
            yield example


def test_a_failure_midway_leaves_the_caller_s_network_untouched() -> None:
    model = trained().train()
    before = snapshot(model)
    with pytest.raises((OSError, DataError), match="disk is gone"):
        retrofit(model, PRESETS["alpha"], data=FailsLater())
    assert_untouched(model, before)


def logits_of(outcome: Outcome, data: list[tuple[Tensor, int]], rows: "np.ndarray[typing.Any, typing.Any]") -> Tensor:
    with torch.inference_mode():
        return outcome.model(torch.stack([data[row][0] for row in rows]))


def test_the_tuned_network_is_the_measured_one() -> None:
    """Top-1 and NLL of the returned network on the holdout half, recomputed in numpy, are those of the arm α+T."""
    data = examples()
    outcome = retrofit(trained(), Recipe(steps=[SetAlpha(alpha=0.3), Temperature(), Measure()]), data=data)
    labels = np.array([y for _, y in data])
    holdout = split(labels, 0).holdout
    z = logits_of(outcome, data, holdout).double().numpy()
    nll = np.log(np.exp(z - z.max(1, keepdims=True)).sum(1)) + z.max(1) - z[np.arange(len(z)), labels[holdout]]
    assert outcome.summary.measurement is not None
    arm = outcome.summary.measurement.arm("alpha+T")
    assert outcome.summary.changes.temperature == arm.temperature != 1
    assert outcome.summary.changes.temperature_folded_into == "8"
    assert arm.metrics["nll"].value == pytest.approx(nll.mean(), rel=1e-5)
    assert arm.metrics["top1"].value == (z.argmax(1) == labels[holdout]).mean()


def test_the_plain_arm_is_the_network_as_it_came() -> None:
    data = examples()
    model = trained()
    outcome = retrofit(model, PRESETS["alpha"], data=data)
    labels = np.array([y for _, y in data])
    holdout = split(labels, 0).holdout
    with torch.inference_mode():
        logits = model(torch.stack([data[row][0] for row in holdout]))
    assert outcome.summary.measurement is not None
    plain = outcome.summary.measurement.arm("original")
    expected = nn.functional.cross_entropy(logits.double(), torch.from_numpy(labels[holdout]))
    assert plain.metrics["nll"].value == pytest.approx(float(expected), rel=1e-6)


def test_nothing_is_chosen_on_the_holdout_half() -> None:
    """Other holdout images, same choice: α, T and the whole curve."""
    data = examples()
    holdout = set(split(np.array([y for _, y in data]), 0).holdout.tolist())
    generator = torch.Generator().manual_seed(9)
    other = [(torch.randn(1, 8, 8, generator=generator) if row in holdout else x, y) for row, (x, y) in enumerate(data)]
    one, two = (retrofit(trained(), PRESETS["alpha"], data=which).summary for which in (data, other))
    assert one.last(AlphaSearch) == two.last(AlphaSearch)
    assert one.changes == two.changes
    assert one.measurement != two.measurement


def test_the_same_request_gives_the_same_result() -> None:
    one, two = (retrofit(trained(), PRESETS["alpha"], data=examples()).summary for _ in range(2))
    assert one.digest == two.digest
    assert one.last(AlphaSearch) == two.last(AlphaSearch)


def test_the_seed_decides_the_split() -> None:
    recipe = PRESETS["alpha"]
    other = recipe.model_copy(update={"seed": 1})
    one, two = (retrofit(trained(), which, data=examples()).summary for which in (recipe, other))
    assert one.measurement != two.measurement


def test_a_network_without_batch_normalisation_can_still_have_a_temperature() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))
    summary = retrofit(model, PRESETS["temperature"], data=examples()).summary
    assert summary.verdict is None
    assert summary.measurement is not None
    assert [arm.arm for arm in summary.measurement.arms] == ["original", "T"]
    with pytest.raises(ModelError, match="no batch normalisation"):
        retrofit(model, PRESETS["alpha"], data=examples())


def test_what_was_skipped_is_in_the_summary() -> None:
    recipe = Recipe(steps=[SetAlpha(alpha=1.0), Measure(resamples=100)])
    summary = retrofit(warmed_up(Mixed()), recipe, data=examples()).summary
    notes = {site.names[0]: (site.alpha, bool(site.note)) for site in summary.changes.sites}
    assert notes == {
        "maps": (1.0, False),
        "act": (None, True),
        "point": (1.0, False),
        "vector": (1.0, False),
        "batch_only": (None, True),
    }
    assert codes(summary).count("site-skipped") == 2
    assert "constant-output" in codes(summary)


def test_the_search_keeps_away_from_an_alpha_that_gives_a_constant() -> None:
    recipe = Recipe(steps=[SearchAlpha(maximum=1.0, curve=False), Measure(resamples=100)])
    heard: dict[bool, set[str]] = {True: set(), False: set()}
    capped = retrofit(
        warmed_up(Mixed()), recipe, data=examples(), progress=lambda said: heard[True].add(said.stage)
    ).summary
    free = retrofit(trained(), recipe, data=examples(), progress=lambda said: heard[False].add(said.stage)).summary
    largest = [
        max(float(stage.split("= ")[1].split(" on ")[0]) for stage in heard[capped_] if "α = " in stage)
        for capped_ in (True, False)
    ]
    assert largest == [0.95, 1.0]
    assert "alpha-capped" in codes(capped)
    assert "alpha-capped" not in codes(free)


def test_near_chance_accuracy_gets_a_hint() -> None:
    summary = retrofit(warmed_up(convolutional(CLASSES)), PRESETS["measure"], data=examples()).summary
    (hint,) = messages(summary, "near-chance")
    assert "order" in hint
    assert "near-chance" not in codes(retrofit(trained(), PRESETS["measure"], data=examples()).summary)


def test_alpha_0_leaves_plain_batch_normalisation_in_place() -> None:
    """A search that finds nothing returns a network that still folds into its convolutions."""
    recipe = Recipe(steps=[SearchAlpha(margin=10.0), Temperature(), Measure(resamples=100)])
    outcome = retrofit(trained(), recipe, data=examples())
    assert outcome.summary.last(AlphaSearch) is not None
    assert outcome.summary.last(AlphaSearch).chosen == 0
    assert not any(name.endswith("alpha") for name in outcome.model.state_dict())
    assert outcome.summary.verdict == "no evidence"
    assert outcome.summary.measurement is not None
    nll = outcome.summary.measurement.difference("alpha+T", "T").metrics["nll"]
    assert (nll.value, nll.low, nll.high) == (0, 0, 0)


def test_a_network_that_came_with_alpha_is_compared_as_it_came() -> None:
    model = trained()
    weigh_examples_(model, find_sites(model), 0.5)
    outcome = retrofit(model, Recipe(steps=[SetAlpha(alpha=0.0), Measure(resamples=100)]), data=examples())
    plain = retrofit(trained(), PRESETS["measure"], data=examples())
    assert outcome.summary.measurement is not None
    assert plain.summary.measurement is not None
    came, stands = outcome.summary.measurement.arm("original"), outcome.summary.measurement.arm("alpha")
    assert stands.metrics["nll"].value == plain.summary.measurement.arm("original").metrics["nll"].value
    assert came.metrics["nll"].value != stands.metrics["nll"].value


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-4), (torch.bfloat16, 0.05)])
def test_other_precisions_run_in_their_own(dtype: torch.dtype, tolerance: float) -> None:
    recipe = Recipe(steps=[SetAlpha(alpha=0.3), Temperature(), Measure(resamples=100)])
    outcome = retrofit(trained().to(dtype), recipe, data=examples())
    reference = retrofit(trained(), recipe, data=examples())
    assert next(outcome.model.parameters()).dtype == dtype
    assert outcome.summary.model.dtype == str(dtype).removeprefix("torch.")
    assert outcome.summary.measurement is not None
    assert reference.summary.measurement is not None
    nll = [o.measurement.arm("alpha").metrics["nll"].value for o in (outcome.summary, reference.summary)]  # type: ignore[union-attr]
    assert nll[0] == pytest.approx(nll[1], abs=tolerance)


def test_progress_is_told_for_every_stage() -> None:
    heard = []
    retrofit(trained(), PRESETS["alpha"], data=examples(), batch_size=16, progress=heard.append)
    stages = {progress.stage for progress in heard}
    assert "search_alpha, α = 0 on 45 examples" in stages
    assert all(0 < progress.done <= progress.total for progress in heard)
    assert {p.stage for p in heard if p.done == p.total} == stages
    assert len({(progress.stage, progress.total) for progress in heard}) == len(stages)


@pytest.mark.parametrize("curve", [True, False])
def test_passes_are_counted_as_they_were_made_and_the_holdout_half_is_not_looked_at(curve: bool) -> None:
    """On enough examples for partial passes: what a source that counts has handed out is what the summary says."""
    data = Counted(examples(300))
    checked = planned(trained(), Recipe(steps=[SearchAlpha(curve=curve)]), data)
    data.streamed.clear()
    summary = carry_out(trained(), checked, "", {}).summary
    halves = split(data.labels, 0)
    calibrating = [row for row in data.streamed if row in set(halves.calibration.tolist())]
    assert summary.last(AlphaSearch) is not None
    assert summary.last(AlphaSearch).passes + summary.last(AlphaSearch).curve_passes == pytest.approx(
        len(calibrating) / 150
    )
    assert summary.timings.passes == pytest.approx(len(calibrating) / 150)
    assert summary.last(AlphaSearch).passes <= 5
    assert summary.last(AlphaSearch).passes % 1 != 0
    holdout = set(data.streamed) & set(halves.holdout.tolist())
    assert holdout <= set(halves.holdout[:64].tolist())  # the inputs kept to prove files with


def test_a_curve_that_cannot_be_interpolated_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibrate.search.alpha.TOLERANCE", -1.0)
    summary = retrofit(trained(), Recipe(steps=[SearchAlpha()]), data=examples()).summary
    assert summary.last(AlphaSearch) is not None
    assert summary.last(AlphaSearch).curve == ()
    assert "curve-not-interpolated" in codes(summary)


def test_sites_choose_where_alpha_goes() -> None:
    outcome = retrofit(trained(), Recipe(steps=[SetAlpha(alpha=0.2, sites=("4",))]), data=examples())
    assert [site.alpha for site in outcome.summary.changes.sites] == [None, 0.2]
    expected = copy.deepcopy(trained())
    weigh_examples_(expected, select(find_sites(expected), ("4",)), 0.2)
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(outcome.model(x), expected(x))


def test_the_answers_are_those_of_the_two_networks_on_the_holdout_half() -> None:
    data, model = examples(), trained()
    outcome = retrofit(model, Recipe(steps=[SetAlpha(alpha=0.6), Temperature(), Measure(resamples=100)]), data=data)
    labels = np.array([y for _, y in data])
    holdout = split(labels, 0).holdout
    with torch.inference_mode():
        before = model(torch.stack([data[row][0] for row in holdout])).argmax(1).numpy()
    after = logits_of(outcome, data, holdout).argmax(1).numpy()
    right, now = before == labels[holdout], after == labels[holdout]
    assert outcome.summary.measurement is not None
    found = outcome.summary.measurement.changes
    assert found is not None
    assert (found.fixed, found.broken) == ((~right & now).sum(), (right & ~now).sum())
    assert found.fixed + found.broken > 0
    assert outcome.summary.measurement is not None
    top1 = outcome.summary.measurement.difference("alpha+T", "T").metrics["top1"].value
    assert (found.fixed - found.broken) / found.n == pytest.approx(top1)
    answers = {row: (one, other) for row, one, other in zip(holdout.tolist(), before, after, strict=True)}
    for item in found.examples:
        assert (item.before.label, item.after.label) == answers[item.index]
        assert item.label == labels[item.index]
    assert set(outcome.thumbnails) == {item.index for item in found.examples}


def test_a_run_that_changes_no_layer_has_no_predictions_to_compare_but_its_layers() -> None:
    outcome = retrofit(trained(), PRESETS["measure"], data=examples())
    assert outcome.summary.measurement is not None
    assert outcome.summary.measurement.changes is None
    assert outcome.thumbnails == {}
    assert [(layer.name, layer.positions) for layer in outcome.summary.layers] == [("1", 64), ("4", 9)]
