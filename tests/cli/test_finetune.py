"""``afternorm finetune`` and ``compare``: files, resuming after a kill, exit codes, mistakes told."""

import json
import os
import signal
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import scipy.stats

from calibrate import open_model
from calibrate.demo import DemoInputs
from calibrate.engine.finetuning.weight_differences import compare_weights
from calibrate.finetune import md5_seed
from calibrate.result import ComparedArms, FineTuned
from tests.builders.commands import Ran, demo_options

RECIPE = "{classes: [3, 5, 8], fraction: 0.3, phases: [{epochs: 2}], histograms: epoch}"
COMPARISON = """
base: {classes: [3, 5, 8], fraction: 0.3, phases: [{epochs: 2}], histograms: epoch}
arms:
  vanilla: {}
  stoch_norm: {layers: [{kind: place, layer: StochNorm}]}
baseline: vanilla
seeds: 3
"""


@pytest.fixture
def given(demo_inputs: DemoInputs, tmp_path: Path) -> tuple[object, ...]:
    return (*demo_options(demo_inputs), "--out", tmp_path / "out", "--threads", 1)


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    path = tmp_path / "comparison.yaml"
    path.write_text(COMPARISON)
    return path


def test_a_network_is_fine_tuned_written_and_reopened(
    given: tuple[object, ...], afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = afternorm("finetune", RECIPE, *given, "--json")
    assert ran.code == 0, ran.err
    result = FineTuned.model_validate_json(ran.out)
    out = tmp_path / "out"
    assert result == FineTuned.model_validate_json((out / "finetuned.json").read_text())
    assert {path.name for path in out.iterdir()} == {
        "finetuned.safetensors", "finetuned.json", "report.html", "report.md", "report.txt",
    }  # fmt: skip
    assert result.data.classes == ("3", "5", "8")
    assert [len(layer.counts) for layer in result.histograms] == [3] * 8
    page = (out / "report.html").read_text()
    assert page.count("<svg ") == 2
    assert "<script" not in page
    opened = open_model(out / "finetuned.safetensors", "cifar/resnet8", {"in_channels": 1, "num_classes": 3})
    assert opened.model.get_parameter("linear.weight").shape == (3, 64)


def test_a_dry_run_says_what_would_be_done(
    given: tuple[object, ...], afternorm: Callable[..., Ran], comparison: Path, tmp_path: Path
) -> None:
    ran = afternorm("finetune", RECIPE, *given, "--dry-run")
    planned = json.loads(ran.out)
    assert (planned["fresh_head"], planned["epochs"]) == (True, 2)
    assert 3 <= planned["validation"] < planned["training"] < planned["test"]
    ran = afternorm("compare", comparison, *given, "--dry-run", "--json")
    assert [(cell["run"], cell["state"]) for cell in json.loads(ran.out)] == [
        (f"{arm}/{number}", "to run") for number in (1, 2, 3) for arm in ("vanilla", "stoch_norm")
    ]
    assert not (tmp_path / "out").exists()


@contextmanager
def ctrl_c(fine_tuning: int) -> Iterator[None]:
    """Press Ctrl-C when the state of the second epoch of this fine-tuning, counted from 1, is to take its place."""
    really, states = os.replace, Counter[Path]()

    def replace(source: Path, target: Path) -> None:
        if target.suffix == ".pt":
            states[target] += 1
            if len(states) == fine_tuning and states[target] == 2:
                signal.raise_signal(signal.SIGINT)
        really(source, target)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background ignores it
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "replace", replace)
            yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupted_fine_tuning_goes_on_with_resume_only(
    given: tuple[object, ...], afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    whole = FineTuned.model_validate_json(afternorm("finetune", RECIPE, *given, "--json").out)
    broken = (*given, "--out", tmp_path / "broken")
    with ctrl_c(1):
        ran = afternorm("finetune", RECIPE, *broken)
    assert ran.code == 130
    assert "--resume" in ran.err
    ran = afternorm("finetune", RECIPE, *broken)
    assert ran.code == 2
    assert "pass --resume" in ran.err
    ran = afternorm("finetune", RECIPE.replace("0.3", "0.4"), *broken, "--resume")
    assert ran.code == 2
    assert "another fine-tuning" in ran.err
    ran = afternorm("finetune", RECIPE, *broken, "--resume", "--json")
    assert FineTuned.model_validate_json(ran.out).digest == whole.digest


def test_two_arms_from_three_seeds_are_compared_and_resumed(
    given: tuple[object, ...], afternorm: Callable[..., Ran], comparison: Path, tmp_path: Path
) -> None:
    """Stopped in the fourth of six fine-tunings: three are kept as they are, one goes on, two are begun."""
    ran = afternorm("compare", comparison, *given, "--json")
    assert ran.code == 0, ran.err
    whole = ComparedArms.model_validate_json(ran.out)
    broken = (*given, "--out", tmp_path / "broken")
    with ctrl_c(4):
        ran = afternorm("compare", comparison, *broken)
    assert ran.code == 130
    assert afternorm("compare", comparison, *broken).code == 2
    states = [line.split() for line in afternorm("compare", comparison, *broken, "--dry-run").out.splitlines()]
    assert [state[0] for state in states] == ["finished"] * 3 + ["begun", "to", "to"]
    finished = (tmp_path / "broken" / "vanilla" / "1" / "finetuned.json").stat()
    ran = afternorm("compare", comparison, *broken, "--resume", "--json")
    assert ran.code == 0, ran.err
    assert "3 of 6 are finished and kept" in ran.err
    assert (tmp_path / "broken" / "vanilla" / "1" / "finetuned.json").stat() == finished
    assert ComparedArms.model_validate_json(ran.out).digest == whole.digest
    _check_the_numbers(whole, tmp_path / "out")
    assert not list((tmp_path / "broken").rglob("unfinished*"))

    comparison.write_text(COMPARISON.replace("StochNorm}", "StochNorm, settings: {p: 0.9}}"))
    states = [line.split() for line in afternorm("compare", comparison, *broken, "--dry-run").out.splitlines()]
    assert [state[0] for state in states] == ["finished", "to"] * 3


def _check_the_numbers(result: ComparedArms, out: Path) -> None:
    """Against the single results and scipy."""
    assert result.seeds == tuple(map(md5_seed, (1, 2, 3)))
    scores: dict[str, list[float]] = {}
    first: dict[str, FineTuned] = {}
    for arm in result.arms:
        files = [out / arm.name / str(number) / "finetuned.json" for number in (1, 2, 3)]
        single = [FineTuned.model_validate_json(file.read_text()) for file in files]
        assert [one.recipe.seed for one in single] == list(result.seeds)
        first[arm.name] = single[0]
        scores[arm.name] = [one.measurement.arm("tuned").metrics["nll"].value for one in single]
        assert list(arm.scores["nll"]) == scores[arm.name]
        assert arm.means["nll"] == pytest.approx(statistics.mean(scores[arm.name]))
        assert arm.deviations["nll"] == pytest.approx(statistics.stdev(scores[arm.name]))
    vanilla, stoch_norm = result.arms
    assert (vanilla.tests, vanilla.layers) == ({}, ())
    assert stoch_norm.layers == compare_weights(first["stoch_norm"], first["vanilla"])
    assert [layer.name for layer in stoch_norm.layers][::2] == ["conv1", "linear"]
    assert (out / "comparison.html").read_text().count("<svg ") == 1
    test, expected = (
        stoch_norm.tests["nll"],
        scipy.stats.ttest_rel(scores["stoch_norm"], scores["vanilla"], alternative="less"),
    )
    assert (test.p, test.t) == (pytest.approx(expected.pvalue), pytest.approx(-expected.statistic))
    assert test.significant == (expected.pvalue < 0.05)
    bold = f"**{stoch_norm.means['nll']:.4f}" in (out / "comparison.md").read_text()
    assert bold == test.significant


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("{classes: [3, 11]}", "the class '11'"),
        ("{phases: [{epochs: 0}]}", "phases[0].epochs: 0 was given"),
        ("{phases: [{lr: 1e-3}], fraction: 0.001}", "fraction 0.001 of the 45 examples"),
        ("{penalties: [{kind: l2sp}]}", "penalties[0]"),
        ("no-such.yaml", "cannot be read"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    recipe: str, said: str, given: tuple[object, ...], afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = afternorm("finetune", recipe, *given)
    assert ran.code in (1, 2)
    assert said in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()
