"""Documents: the same recipe from JSON, YAML and TOML, and an error with a path for every broken one."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from calibrate.errors import RecipeError, UsageError
from calibrate.recipe import Outputs, Preprocessing, Recipe, loads, parse, plain, read, read_recipe

DOCUMENT = {
    "seed": 7,
    "steps": [
        {"kind": "set_alpha", "alpha": 0.001, "sites": ["layer1.*", "α 😀"]},
        {"kind": "temperature"},
        {"kind": "measure", "bins": 10},
    ],
}
YAML = """
seed: 7
steps:
  - {kind: set_alpha, alpha: 1e-3, sites: [layer1.*, "α 😀"]}  # YAML 1.1 reads 1e-3 as text
  - kind: temperature
  - kind: measure
    bins: 10
"""
TOML = """
seed = 7
[[steps]]
kind = "set_alpha"
alpha = 1e-3
sites = ["layer1.*", "α 😀"]
[[steps]]
kind = "temperature"
[[steps]]
kind = "measure"
bins = 10
"""
TEXTS = {
    "short.json": json.dumps(DOCUMENT),
    "tabs.json": json.dumps(DOCUMENT, indent="\t", ensure_ascii=False),
    "recipe.yaml": YAML,
    "recipe.toml": TOML,
}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", TEXTS)
def test_every_format_gives_the_same_recipe(name: str, mark: str, tmp_path: Path) -> None:
    """Also with the byte order mark that Windows editors put in front."""
    path = tmp_path / name
    path.write_text(mark + TEXTS[name], encoding="utf-8")
    expected = Recipe.model_validate(DOCUMENT)
    assert read(Recipe, path) == expected
    assert read_recipe(str(path)).digest == expected.digest


def step(**fields: Any) -> dict[str, Any]:
    return {"steps": [{"kind": "temperature"}, fields]}


BROKEN: list[tuple[type[BaseModel], Any, str, str]] = [
    (Recipe, None, "", "None was given"),
    (Recipe, [], "", "valid dictionary"),
    (Recipe, "alpha", "", "'alpha' was given"),
    (Recipe, {}, "steps", "field required"),
    (Recipe, {"steps": None}, "steps", "valid tuple"),
    (Recipe, {"steps": {}}, "steps", "valid tuple"),
    (Recipe, {"steps": []}, "steps", "name at least one step"),
    (Recipe, {"steps": [{"kind": "measure"}], "sede": 1}, "sede", "not permitted"),
    (Recipe, {"steps": [{"kind": "measure"}], "seed": -1}, "seed", "-1 was given"),
    (Recipe, {"steps": [{"kind": "measure"}], "seed": 2**32}, "seed", "less than 4294967296"),
    (Recipe, {"steps": [{"kind": "measure"}], "seed": 0.5}, "seed", "0.5 was given"),
    (Recipe, {"steps": [{"kind": "measure"}], "version": 2}, "version", "2 was given"),
    (Recipe, {"steps": ["measure"]}, "steps[0]", "'measure' was given"),
    (Recipe, step(), "steps[1]", "kind"),
    (Recipe, step(kind="set_beta"), "steps[1]", "'set_beta'"),
    (Recipe, step(kind="set_alpha"), "steps[1].alpha", "field required"),
    (Recipe, step(kind="set_alpha", alpha=1.5), "steps[1].alpha", "less than or equal to 1"),
    (Recipe, step(kind="set_alpha", alpha=-0.1), "steps[1].alpha", "greater than or equal to 0"),
    (Recipe, step(kind="set_alpha", alpha=float("nan")), "steps[1].alpha", "nan was given"),
    (Recipe, step(kind="set_alpha", alpha="much"), "steps[1].alpha", "'much' was given"),
    (Recipe, step(kind="set_alpha", alpha=0.1, sites="bn1"), "steps[1].sites", "'bn1' was given"),
    (Recipe, step(kind="set_alpha", alpha=0.1, sites=[]), "steps[1].sites", "at least 1"),
    (Recipe, step(kind="set_alpha", alpha=0.1, sites=["a", 3]), "steps[1].sites[1]", "3 was given"),
    (Recipe, step(kind="search_alpha", maximum=0), "steps[1].maximum", "greater than 0"),
    (Recipe, step(kind="search_alpha", refinements=21), "steps[1].refinements", "21 was given"),
    (Recipe, step(kind="search_alpha", margin=float("inf")), "steps[1].margin", "inf was given"),
    (Recipe, step(kind="search_alpha", alpha=0.1), "steps[1].alpha", "not permitted"),
    (Recipe, step(kind="temperature", value=2), "steps[1].value", "not permitted"),
    (Recipe, step(kind="measure", bins=1), "steps[1].bins", "1 was given"),
    (Recipe, step(kind="measure", resamples=99), "steps[1].resamples", "99 was given"),
    (Recipe, step(kind="set_alpha", alpha=True), "steps[1].alpha", "true was given; write a number"),
    (Recipe, step(kind="measure", bins=True), "steps[1].bins", "true was given"),
    (Recipe, {"steps": [{"kind": "measure"}], "seed": False}, "seed", "false was given"),
    (Recipe, {"steps": [{"kind": "measure"}], "version": True}, "version", "true was given"),
    (Outputs, {"latency_runs": True}, "latency_runs", "true was given"),
    (Outputs, {"formats": ["onnx", "safetensors", "onnx"]}, "formats", "onnx 2 times"),
    (Outputs, {"formats": ["onnx", "tflite"]}, "formats[1]", "'tflite' was given"),
    (Outputs, {"latency_runs": -1}, "latency_runs", "-1 was given"),
    (Preprocessing, {"resize": 0}, "resize", "0 was given"),
    (Preprocessing, {"crop": True}, "crop", "true was given"),
    (Preprocessing, {"mean": [0, False, 0]}, "mean[1]", "false was given"),
    (Preprocessing, {"interpolation": "lanczos"}, "interpolation", "'lanczos' was given"),
    (Preprocessing, {"channels": 4}, "channels", "4 was given"),
    (Preprocessing, {"channels": 1}, "", "mean has 3 values for 1 channel(s)"),
    (Preprocessing, {"std": [1, 1]}, "", "std has 2 values for 3 channel(s)"),
    (Preprocessing, {"std": [1, 0, 1]}, "std[1]", "greater than 0"),
    (Preprocessing, {"std": [1, 1, float("inf")]}, "std[2]", "finite"),
    (Preprocessing, {"mean": [float("nan"), 0, 0]}, "mean[0]", "finite"),
]


@pytest.mark.parametrize(("kind", "document", "path", "words"), BROKEN)
def test_a_broken_document_names_its_source_the_field_and_the_rule(
    kind: type[BaseModel], document: Any, path: str, words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(kind, document, "mine.yaml")
    messages = [message for where, message in caught.value.fields if where == path]
    assert len(messages) == 1
    assert words in messages[0]
    text = str(caught.value)
    noun = kind.__name__.lower()
    assert text.startswith(f"mine.yaml is not a valid {noun}: ")
    assert (f"{path}: {messages[0]}" if path else messages[0]) in text
    assert f"afternorm schema {noun}" in text
    assert "\n" not in text
    assert caught.value.exit_code == 2


def test_every_broken_field_is_named_at_once() -> None:
    document = {"seed": -1, "steps": [{"kind": "set_alpha", "alpha": 2}, {"kind": "measure", "bins": 0}], "x": 1}
    with pytest.raises(RecipeError) as caught:
        parse(Recipe, document, "mine.yaml")
    assert {path for path, _ in caught.value.fields} == {"seed", "steps[0].alpha", "steps[1].bins", "x"}


@pytest.mark.parametrize(
    ("text", "toml"),
    [
        ("steps: [", False),
        ("{[1]: 2}", False),
        ("a: 1\n---\nb: 2", False),
        ("seed: 2024-13-45", False),  # PyYAML: a ValueError, not a YAMLError
        ("seed: \x00", False),
        ("!!python/object/apply:os.getcwd []", False),
        ("[" * 100_000, False),
        ('{"a":' * 100_000, False),
        ("9" * 5000, False),
        ("seed = ", True),
        ("seed = 1\nseed = 2", True),
        ("a = " + "[" * 100_000, True),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_text_that_is_not_well_formed_is_refused_in_one_line(text: str, toml: bool) -> None:
    with pytest.raises(RecipeError, match=r"^mine is not well-formed: [^\n]*\.$"):
        loads(Recipe, text, "mine", toml=toml)


def test_a_key_is_text_where_yaml_1_1_takes_it_for_a_truth_value() -> None:
    recipe = loads(Recipe, "steps: [{kind: reestimate, on: training}]", "recipe.yaml")
    assert recipe == Recipe.model_validate({"steps": [{"kind": "reestimate", "on": "training"}]})
    assert plain("{on: off, no: true, 'yes': 1}") == {"on": False, "no": True, "yes": 1}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("seed: 1\nsteps: [{kind: measure}]\nseed: 2", "seed"),
        ('seed: 1\nsteps: [{kind: measure}]\n"seed": 1', "seed"),
        ("steps: [{kind: measure, bins: 9, bins: 10}]", "bins"),
        ('{"seed": 1, "steps": [{"kind": "measure"}], "seed": 2}', "seed"),
        ('{"steps": [{"kind": "measure", "bins": 9, "bins": 10}]}', "bins"),
    ],
)
def test_a_key_that_stands_twice_is_refused_by_name(text: str, key: str) -> None:
    with pytest.raises(RecipeError, match=f"^mine is not well-formed: the key '{key}' stands twice"):
        loads(Recipe, text, "mine")


def test_a_key_may_replace_one_that_is_merged_in() -> None:
    text = "steps:\n- &a {kind: set_alpha, alpha: 0.1}\n- {<<: *a, alpha: 0.2}\n- {<<: *a, sites: [bn1]}"
    assert [step.model_dump(exclude_defaults=True) for step in loads(Recipe, text, "mine").steps] == [
        {"alpha": 0.1},
        {"alpha": 0.2},
        {"alpha": 0.1, "sites": ("bn1",)},
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("seed: 1 # é".encode("latin-1"))
    for path, reason in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "directory"), (latin, "not UTF-8")):
        with pytest.raises(UsageError, match=reason) as caught:
            read(Recipe, path)
        assert str(path) in str(caught.value)


def test_an_unknown_recipe_name_lists_the_presets() -> None:
    with pytest.raises(
        UsageError,
        match=r"'alhpa' is neither a preset nor a file.*adabn, adaptation, alpha, auto, field_shift, measure",
    ):
        read_recipe("alhpa")


@pytest.mark.parametrize(
    ("step", "path", "said"),
    [
        ({"kind": "adapt", "method": {"kind": "tent", "steps": 0}}, "steps[0].method.steps", "0 was given"),
        ({"kind": "adapt", "method": {"kind": "lame"}}, "steps[0]", "take one of iew, tent"),
        (
            {
                "kind": "adaptation",
                "methods": [{"kind": "iew"}, {"kind": "tent", "optimizer": {"kind": "sgd", "lr": 0}}],
            },
            "steps[0].methods[1].optimizer.lr",
            "greater than 0",
        ),
        ({"kind": "adaptation", "streams": [{"order": "correlated"}]}, "steps[0].streams[0]", "needs a value for conc"),
        ({"kind": "adaptation", "streams": [{"cycles": 2}]}, "steps[0].streams[0]", "leave cycles out"),
        ({"kind": "adaptation", "streams": []}, "steps[0].streams", "at least 1 item"),
    ],
)
def test_what_is_broken_inside_a_step_is_one_field_without_tags(step: dict[str, Any], path: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(Recipe, {"steps": [step]}, "r")
    ((found, message),) = caught.value.fields
    assert found == path
    assert said in message
