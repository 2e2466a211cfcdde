"""``afternorm adapt``: flags make the recipe they say, mistakes are told, and files are written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from calibrate import Summary, open_model
from calibrate.cli.stream_options import adaptation_recipe, stream_of
from calibrate.demo import DemoInputs
from calibrate.recipe import Recipe
from calibrate.steps import (
    EATA,
    IEW,
    Adapt,
    BNAlpha,
    Domain,
    Measure,
    ProbeAdaptation,
    ProbeResult,
    Stream,
    StreamLearning,
    Temperature,
    Tent,
)
from tests.builders.commands import Ran, demo_options


@pytest.fixture
def given(demo_inputs: DemoInputs, tmp_path: Path) -> tuple[object, ...]:
    return (*demo_options(demo_inputs), "--out", tmp_path / "out")


def test_flags_make_the_recipe_they_say() -> None:
    assert adaptation_recipe(None, None, None, None, None) == Recipe(steps=(ProbeAdaptation(),))
    stream = stream_of("correlated", 10, "as-is, fog:3, snow", 0.5, None, episodic=True)
    domains = (Domain(), Domain(corruption="fog", severity=3), Domain(corruption="snow", severity=5))
    expected = Stream(order="correlated", batch_size=10, domains=domains, concentration=0.5, episodic=True)
    assert stream == expected
    methods = (IEW(), Tent(), EATA(), BNAlpha(prior=16.0))
    step = ProbeAdaptation(methods=methods, streams=(expected,), seeds=2, max_samples=9)
    assert adaptation_recipe("iew, tent,eata,bn_alpha", None, stream, 2, 9) == Recipe(steps=(step,))
    kept = Recipe(steps=(Adapt(method=Tent(), stream=Stream(batch_size=7)), Temperature(), Measure()))
    assert adaptation_recipe(None, "tent", stream_of(None, 7, None, None, None, episodic=False), None, None) == kept


def test_recipes_of_different_methods_and_streams_have_different_digests() -> None:
    """Every method's and stream's fields have defaults; the digest keeps what tells them apart."""
    names = ("iew", "tent", "eta", "eata", "sar", "lame")
    recipes = [adaptation_recipe(name, None, None, None, None) for name in names]
    recipes.append(adaptation_recipe("iew", None, Stream(domains=(Domain(corruption="fog", severity=1),)), None, None))
    assert len({recipe.digest for recipe in recipes}) == len(recipes)
    for recipe in recipes:
        assert Recipe.model_validate_json(recipe.canonical) == recipe


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--methods", "tnt"), "no adaptation method 'tnt', but 'tent'"),
        (("--keep", "lame"), "leaves nothing to store"),
        (("--keep", "tent", "--seeds", "2"), "--keep lets one method learn"),
        (("--order", "correlated"), "needs a value for concentration"),
        (("--domains", "mist:3"), "--domains mist:3"),
        (("--recipe", "adaptation", "--seeds", "2"), "--recipe says which methods"),
    ],
)
def test_mistakes_are_told(
    flags: tuple[str, ...], said: str, given: tuple[object, ...], afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = afternorm("adapt", *given, *flags)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())
    assert not (tmp_path / "out").exists()


def test_methods_are_compared_and_reports_written(
    given: tuple[object, ...], afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    flags = ("--methods", "iew,tent", "--stream-batch", 50, "--seeds", 1, "--samples", 100, "--json")
    ran = afternorm("adapt", *given, *flags)
    assert ran.code == 0, ran.err
    (found,) = Summary.model_validate_json(ran.out).of(ProbeResult)
    assert found.kind == "adaptation"
    assert [item.method and item.method.kind for item in found.streams[0].methods] == [None, "iew", "tent"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html",
        "report.md",
        "report.txt",
        "summary.json",
    }


def test_what_a_method_learned_is_kept_measured_and_reopens(
    given: tuple[object, ...], afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = afternorm("adapt", *given, "--keep", "tent", "--stream-batch", 50)
    assert ran.code == 0, ran.err
    summary = Summary.model_validate(json.loads((tmp_path / "out" / "summary.json").read_text()))
    assert summary.verdict == "improved"
    assert summary.measurement is not None
    assert {scores.arm for scores in summary.measurement.arms} >= {"tuned", "tuned+T"}
    (kept,) = summary.of(StreamLearning)
    assert kept.method == Tent()
    assert open_model(tmp_path / "out" / "tuned.safetensors").architecture == "cifar/resnet8"
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"tuned.safetensors", "tuned.onnx"}
