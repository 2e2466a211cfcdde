"""The leaderboard: every number is that of the candidate alone, and what is recommended is what is kept."""

import itertools
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate import PRESETS, Outcome, Recipe, Summary, open_data, open_model, retrofit
from calibrate.data import Corrupted, InDomains, Source, split
from calibrate.demo.digits import PREPROCESSING, held_out_digits, scan
from calibrate.demo.inputs import ARCHITECTURE, ARCHITECTURE_ARGS, CHECKPOINT
from calibrate.engine import FolderTrials, carry_out
from calibrate.engine.delivery.graph import graphs_of
from calibrate.errors import DataError, ModelError, TrialsError
from calibrate.steps import (
    AlphaSearch,
    Auto,
    Candidate,
    Leaderboard,
    Measure,
    Reestimate,
    Reestimation,
    SearchAlpha,
    SetAlpha,
    Temperature,
)
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.examples import examples, trained
from tests.builders.networks import convolutional, fit_, grouped, warmed_up
from tests.builders.runs import codes, planned
from tests.builders.states import assert_untouched, snapshot, storages

ALPHA = SearchAlpha(curve=False, refinements=1)
CANDIDATES = (
    Candidate(name="re-estimated", steps=(Reestimate(),)),
    Candidate(name="α", steps=(ALPHA,)),
    Candidate(name="re-estimated, α", steps=(Reestimate(), ALPHA)),
    Candidate(name="α = 0.9", steps=(SetAlpha(alpha=0.9),)),
)


def auto(**fields: Any) -> Recipe:
    return Recipe(steps=(Auto(**{"candidates": CANDIDATES, "resamples": 300, **fields}),))


def digits(n: int, *, scanned: bool) -> Source:
    images, labels = (column[:n] for column in held_out_digits())
    pixels = scan(images, 0) if scanned else images
    return open_data([(x[..., None], int(y)) for x, y in zip(pixels, labels, strict=True)], preprocessing=PREPROCESSING)


def network() -> nn.Module:
    return open_model(CHECKPOINT, ARCHITECTURE, ARCHITECTURE_ARGS).model


def board_of(outcome: Outcome) -> Leaderboard:
    assert outcome.summary.last(Leaderboard) is not None
    return outcome.summary.last(Leaderboard)


@pytest.fixture(scope="module")
def scanned() -> Source:
    return digits(300, scanned=True)


@pytest.fixture(scope="module")
def searched(scanned: Source) -> Outcome:
    return retrofit(network(), auto(), data=scanned)


def test_every_number_of_a_candidate_is_that_of_its_recipe_alone(searched: Outcome, scanned: Source) -> None:
    board = board_of(searched)
    for candidate in CANDIDATES:
        recipe = Recipe(steps=(*candidate.steps, Temperature(), Measure(resamples=300)))
        alone = retrofit(network(), recipe, data=scanned).summary
        held = board.row(candidate.name).holdout
        assert held is not None
        assert alone.measurement is not None
        difference = alone.measurement.verdict_difference
        assert difference is not None
        assert held.metrics == alone.measurement.arm(difference.arm).metrics
        assert held.against_t == difference.metrics
        assert held.against_original == alone.measurement.difference(difference.arm, "original").metrics
        assert held.verdict == alone.verdict
        assert held.temperature == alone.changes.temperature
        assert board.row("T").holdout.metrics == alone.measurement.arm("T").metrics  # type: ignore[union-attr]


def test_the_recommended_recipe_alone_gives_the_same_network_and_the_same_numbers(
    searched: Outcome, scanned: Source
) -> None:
    board = board_of(searched)
    assert board.recommended == board.chosen
    assert searched.summary.verdict == "improved"
    assert board.recipe is not None
    alone = retrofit(network(), Recipe.model_validate(board.recipe), data=scanned)
    assert alone.summary.measurement == searched.summary.measurement
    assert alone.summary.changes == searched.summary.changes
    kept = searched.model.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in alone.model.state_dict().items())


def test_it_is_never_worse_than_the_candidates_that_are_simpler_by_more_than_noise(searched: Outcome) -> None:
    """The rule, from the numbers in the leaderboard: nothing simpler is within its own noise of the best."""
    board = board_of(searched)
    gaps = {item.name: item.calibration.value for item in board.rows if item.calibration is not None}
    names = [item.name for item in board.rows]
    assert gaps["T"] == 0
    best = min(gaps, key=gaps.__getitem__)
    assert names.index(board.chosen) <= names.index(best)
    assert gaps[board.chosen] < 0


def test_the_passes_of_all_are_fewer_than_those_of_each_alone(searched: Outcome) -> None:
    """What candidates begin with alike is done once."""
    board = board_of(searched)
    alone = sum(item.passes + 1 for item in board.rows[2:])
    assert board.passes == searched.summary.timings.passes < alone + 2
    assert board.passes <= 60


def labelled_at_random(n: int) -> list[tuple[Tensor, int]]:
    labels = np.random.default_rng(0).integers(0, 3, n)
    return [(x, int(y)) for (x, _), y in zip(examples(n), labels, strict=True)]


def test_where_nothing_helps_nothing_is_recommended_and_nothing_changed() -> None:
    """At random labels T alone undoes the confidence, and there is nothing left to undo in what it gives."""
    model, data = trained(), labelled_at_random(120)
    for recommended, verdict in (("T", "improved"), (None, "no evidence")):
        before = snapshot(model)
        outcome = retrofit(model, auto(margin=3.0), data=data)
        assert_untouched(model, before)
        assert board_of(outcome).recommended == recommended
        assert not outcome.summary.of(Reestimation)
        assert outcome.summary.last(AlphaSearch) is None
        assert outcome.summary.verdict == verdict
        model = outcome.model
    assert_untouched(outcome.model, before)
    assert outcome.summary.changes.temperature == 1


def test_what_is_chosen_but_not_proven_is_not_kept() -> None:
    """The calibration half can only propose: where it alone is badly scanned, its statistics are no good elsewhere."""
    source = digits(240, scanned=False)
    halves = split(source.labels, 0)  # type: ignore[arg-type]
    pixels, labels = (column[:240] for column in held_out_digits())
    pixels = pixels.copy()
    pixels[halves.calibration] = scan(pixels[halves.calibration], 0)
    data = [(x[..., None], int(y)) for x, y in zip(pixels, labels, strict=True)]
    outcome = retrofit(network(), auto(), data=open_data(data, preprocessing=PREPROCESSING))
    board = board_of(outcome)
    assert board.chosen.startswith("re-estimated")
    assert board.row(board.chosen).holdout.verdict != "improved"  # type: ignore[union-attr]
    assert board.recommended in (None, "T")
    assert board.chosen in board.reason
    assert not outcome.summary.of(Reestimation)


def test_a_candidate_that_cannot_be_carried_out_says_why_and_leaves_the_others() -> None:
    data = [(x.repeat(1, 2, 2), y) for x, y in examples(60)]
    board = board_of(retrofit(warmed_up(grouped()), auto(), data=data))
    for name in ("re-estimated", "re-estimated, α"):
        standing = board.row(name)
        assert standing.state == "not applicable"
        assert "statistics" in standing.note
    assert board.row("α").state == "measured"


def test_a_network_without_normalisation_is_left_with_its_temperature() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    board = board_of(retrofit(model, auto(), data=examples(60)))
    assert {item.state for item in board.rows[2:]} == {"not applicable"}
    assert board.chosen in ("original", "T")


@pytest.mark.parametrize("passes", [6.0, 9.0, 14.0, 18.0])
def test_a_budget_is_kept_and_what_it_left_out_is_said(passes: float, scanned: Source) -> None:
    board = board_of(retrofit(network(), auto(max_passes=passes), data=scanned))
    assert board.passes <= passes
    kinds = {item.name: item.state for item in board.rows[2:]}
    assert set(kinds.values()) - {"measured"}
    assert all(item.note for item in board.rows if item.state != "measured")
    for rung in board.rungs:
        assert set(rung.kept) <= set(rung.tried)
        assert len(rung.kept) == -(-len(rung.tried) // 2)
    for earlier, later in itertools.pairwise(board.rungs):
        assert later.examples > earlier.examples
        assert set(later.tried) <= set(earlier.kept)


def test_a_budget_that_pays_for_all_changes_nothing(searched: Outcome, scanned: Source) -> None:
    board = board_of(retrofit(network(), auto(max_passes=1000), data=scanned))
    assert board == board_of(searched)


def test_a_budget_of_no_time_leaves_the_network_as_it_came(scanned: Source) -> None:
    board = board_of(retrofit(network(), auto(max_minutes=1e-6), data=scanned))
    assert {item.state for item in board.rows[2:]} == {"not tried"}
    assert board.chosen in ("original", "T")


class Interrupted(FolderTrials):
    """Trials of a run that is killed when it has kept ``left`` of them."""

    left = 12

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        super().keep(key, stage, logits)


class Recalling(FolderTrials):
    """Counts what is recalled and what is kept."""

    recalled = kept = 0

    def recall(self, key: str) -> Tensor | None:
        found = super().recall(key)
        self.recalled += found is not None
        return found

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        self.kept += 1
        super().keep(key, stage, logits)


def test_an_interrupted_search_goes_on_where_it_was(searched: Outcome, scanned: Source, tmp_path: Path) -> None:
    model = network()
    with pytest.raises(KeyboardInterrupt):
        carry_out(model, planned(model, auto(), scanned, trials=Interrupted(tmp_path, "digits")), "", {})
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == Interrupted.left
    files[0].write_bytes(files[0].read_bytes()[:20])
    trials = Recalling(tmp_path, "digits")
    resumed = carry_out(model, planned(model, auto(), scanned, trials=trials), "", {})
    assert trials.recalled >= len(files) - 1
    assert trials.kept > 0
    assert board_of(resumed) == board_of(searched)
    assert resumed.summary.measurement == searched.summary.measurement
    elsewhere = Recalling(tmp_path, "another")
    assert not any(elsewhere.recall(file.stem) is not None for file in files)


SHIFTS: Mapping[str, Any] = {"shifts": [{}, {"corruption": "brightness", "severity": 5}]}


def rgb(n: int) -> Source:
    """Images large enough to be corrupted, whose class is their brightness."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 80, (n, 32, 32, 3), dtype=np.uint8) + (60 * (np.arange(n) % 3))[:, None, None, None]
    return open_data([(x.astype(np.uint8), i % 3) for i, x in enumerate(pixels)], preprocessing=PREPROCESSING_RGB)


PREPROCESSING_RGB = PREPROCESSING.model_copy(update={"channels": 3, "mean": (0.5,) * 3, "std": (0.25,) * 3})


@cache
def coloured() -> nn.Module:
    """A network that has learned to tell :func:`rgb`'s classes."""
    source = rgb(120)
    (batch,) = source.batches(np.arange(120), 120)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 1, 1), convolutional(3))
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        return fit_(model, batch.inputs, torch.tensor(source.labels), epochs=12, batch_size=12, optimizer=optimizer)


def test_with_shifts_the_numbers_are_of_the_examples_in_their_domains() -> None:
    source, model = rgb(60), coloured()
    board = board_of(retrofit(model, auto(guardrail=1.0, **SHIFTS), data=source))
    assert board.domains == ("as they are", "C-style brightness 5")
    domains = InDomains([source, Corrupted(source, "brightness", 5, 0)], 0)
    assert source.labels is not None
    holdout = split(source.labels, 0).holdout
    labels = source.labels[holdout]

    def right(seen: Source) -> float:
        (batch,) = seen.batches(holdout, 64)
        with torch.inference_mode():
            return float((model(batch.inputs).argmax(1).numpy() == labels).mean())

    plain = board.row("original").holdout
    assert plain is not None
    assert plain.metrics["top1"].value == pytest.approx(right(domains))
    assert right(domains) != right(source)


def test_the_guardrail_keeps_out_what_costs_the_data_as_they_are() -> None:
    """The same candidates with the same numbers; only the one that the looser guardrail let in goes."""
    source, only_bright = rgb(90), {"shifts": [{"corruption": "brightness", "severity": 5}]}
    loose = board_of(retrofit(coloured(), auto(guardrail=1.0, **only_bright), data=source))
    strict = board_of(retrofit(coloured(), auto(guardrail=0.07, **only_bright), data=source))
    changes = {item.name: item.holdout.clean for item in loose.rows if item.holdout is not None}
    assert {item.name: item.holdout and item.holdout.clean for item in strict.rows} == changes
    assert loose.recommended is not None
    cost = changes[loose.recommended]
    assert cost is not None
    assert cost.low < -0.07
    assert strict.recommended != loose.recommended


def test_with_shifts_the_recommended_recipe_alone_gives_the_same_numbers() -> None:
    source = rgb(90)
    outcome = retrofit(coloured(), auto(guardrail=1.0, **SHIFTS), data=source)
    board = board_of(outcome)
    assert board.recipe is not None
    alone = retrofit(coloured(), Recipe.model_validate(board.recipe), data=source)
    assert board_of(alone).recommended == board.recommended
    assert alone.summary.measurement == outcome.summary.measurement


def test_the_candidates_take_the_memory_of_one_network_and_the_recommended_one_its_own() -> None:
    """Of what no step changes there is one copy; what is handed out shares nothing with it."""
    one, all_of_them = (SetAlpha(alpha=0.5, sites=sites) for sites in (("1",), ("*",)))
    candidates = [Candidate(name=name, steps=(step,)) for name, step in (("one", one), ("all", all_of_them))]
    outcome = retrofit(trained(), auto(candidates=candidates), data=examples())
    graphs = [*outcome.graphs.values()]
    assert len(graphs) == 2
    assert len(storages(graphs[0]) & storages(graphs[1])) == len(("0.weight", "3.weight", "8.weight", "8.bias"))
    assert all(storages(outcome.model).isdisjoint(storages(graph)) for graph in graphs)


def test_the_search_starts_from_the_network_as_it_came_and_leaves_no_site_behind(searched: Outcome) -> None:
    """The steps of one candidate are not seen by another: α = 0.9 is in its own network only."""
    assert all(getattr(site.module, "alpha", torch.tensor(0.0)).max() < 0.9 for site in find_sites(searched.model))


def test_the_preset_works_on_group_norm_and_says_what_does_not_apply() -> None:
    data = [(x.repeat(1, 2, 2), y) for x, y in examples(60)]
    board = board_of(retrofit(warmed_up(grouped()), PRESETS["auto"], data=data))
    states = {item.name: item.state for item in board.rows}
    assert states["α per channel"] == "not applicable"
    assert "one number" in board.row("α per channel").note or "channel" in board.row("α per channel").note
    assert states["α"] == "measured"


def test_too_few_examples_to_learn_from_are_said_for_each_candidate() -> None:
    board = board_of(retrofit(trained(), PRESETS["auto"], data=examples(12)))
    standing = board.row("γ and β")
    assert standing.state == "not applicable"
    assert "calibration half has 6 examples" in standing.note


class NoNumbers(nn.Module):
    """Gives no numbers for bright inputs once its statistics were re-estimated."""

    def __init__(self) -> None:
        super().__init__()
        self.body = trained()
        self.was = nn.Parameter(next(module for module in self.body.modules() if _is_norm(module)).running_mean.clone())

    def forward(self, x: Tensor) -> Tensor:
        norm = next(module for module in self.body.modules() if _is_norm(module))
        changed = not torch.equal(norm.running_mean, self.was)
        bright = (x.mean((1, 2, 3)) > 1.2)[:, None]
        return torch.where(bright & changed, torch.nan, self.body(x))


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def test_a_candidate_that_gives_no_numbers_has_no_place_and_the_others_have() -> None:
    board = board_of(retrofit(NoNumbers().eval(), auto(), data=examples(90)))
    assert "not a number" in board.row("re-estimated").note
    assert board.row("α").state == "measured"


def test_a_full_disk_is_an_error_and_no_property_of_a_candidate(scanned: Source, tmp_path: Path) -> None:
    class Full(FolderTrials):
        left = 3

        def keep(self, key: str, stage: str, logits: Tensor) -> None:
            self.left -= 1
            if self.left < 0:
                raise TrialsError("passes cannot be kept: no space left")
            super().keep(key, stage, logits)

    checked = planned(network(), auto(), scanned, trials=Full(tmp_path, "digits"))
    with pytest.raises(TrialsError, match="no space"):
        carry_out(network(), checked, "", {})


FREE = tuple(Candidate(name=f"α = .{n:02}", steps=(SetAlpha(alpha=n / 100),)) for n in range(1, 21))


@pytest.mark.parametrize("passes", [3.0, 6.0, 12.0, 40.0])
def test_a_tight_budget_counts_the_passes_that_come_after_the_contest(passes: float) -> None:
    board = board_of(retrofit(trained(), auto(candidates=FREE, max_passes=passes), data=examples(120)))
    assert board.passes <= passes


def test_a_tight_budget_counts_the_guardrail_s_passes() -> None:
    recipe = auto(candidates=FREE[:6], max_passes=14.0, guardrail=1.0, **SHIFTS)
    assert board_of(retrofit(coloured(), recipe, data=rgb(60))).passes <= 14


def test_few_minutes_halve_the_candidates_too() -> None:
    """A clock that was started before the first pass knows how long one takes."""
    board = board_of(retrofit(trained(), auto(candidates=FREE, max_minutes=1e-3), data=examples(1200)))
    assert board.rungs or all(item.state == "not tried" for item in board.rows[2:])


def test_t_is_recommended_with_what_was_found_of_it() -> None:
    """On examples that are answered all right T runs into its limit, and the recipe temperature says so too."""
    source = digits(24, scanned=False)
    alone = retrofit(network(), PRESETS["temperature"], data=source).summary
    searched = retrofit(network(), auto(candidates=()), data=source).summary
    assert "temperature-at-limit" in codes(alone)
    assert searched.last(Leaderboard) is not None
    assert searched.last(Leaderboard).recommended == "T"
    assert set(codes(alone)) <= set(codes(searched))
    assert "temperature" in searched.last(Leaderboard).row("T").note


def test_with_shifts_a_recommended_t_has_a_recipe_that_survives_json() -> None:
    recipe = auto(candidates=(), guardrail=1.0, **SHIFTS)
    outcome = retrofit(coloured(), recipe, data=rgb(90))
    board = board_of(outcome)
    assert Summary.model_validate_json(outcome.summary.model_dump_json()) == outcome.summary
    assert board.recommended == "T"
    assert board.recipe is not None
    alone = retrofit(coloured(), Recipe.model_validate(board.recipe), data=rgb(90))
    assert board_of(alone).recommended == "T"


def test_a_guardrail_that_so_few_examples_cannot_show_is_refused_before_any_work() -> None:
    with pytest.raises(DataError, match=r"guardrail is 1 points.*add data, or raise it"):
        retrofit(coloured(), auto(**SHIFTS), data=rgb(90))


def test_graphs_are_shared_by_networks_that_differ_in_numbers_only() -> None:
    def weighed(alpha: float | Tensor, count: int) -> nn.Module:
        model = trained()
        return weigh_examples_(model, find_sites(model)[:count], alpha)

    sites = len(find_sites(trained()))
    names = graphs_of(
        {
            "original": trained(),
            "none": weighed(0.0, sites),
            "all": weighed(0.1, sites),
            "more": weighed(0.2, sites),
            "one": weighed(0.1, 1),
        }
    )
    assert names["original"] == names["none"] == "folded"
    assert names["all"] == names["more"] == "α"
    assert names["one"] == ("α" if sites == 1 else f"α at 1 of {sites} layers")


def test_a_network_whose_logits_are_not_finite_is_refused_as_by_a_measurement() -> None:
    model = trained()
    with torch.no_grad():
        next(iter(model.parameters())).fill_(torch.nan)
    for recipe in (PRESETS["measure"], auto(candidates=CANDIDATES[:1])):
        with pytest.raises(ModelError, match=r"not finite|infinite"):
            retrofit(model, recipe, data=examples())
