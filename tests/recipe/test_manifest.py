"""Manifests: three spellings of one value, and an error with a path for every broken one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from calibrate.errors import RecipeError
from calibrate.recipe import Manifest, Recipe, loads, parse, read

DOCUMENT: dict[str, Any] = {
    "models": {"r8": {"model": "r8.pth", "architecture": "cifar/resnet8", "architecture_args": {"in_channels": 1}}},
    "datasets": {"clean": {"data": "clean.npz", "preprocessing": {"crop": 8}}, "far": {"data": "/far/away"}},
    "recipes": {"T": "temperature", "alpha=0.1": {"steps": [{"kind": "set_alpha", "alpha": 0.1}]}},
    "settings": {"threads": 1},
}
YAML = """
models:
  r8: {model: r8.pth, architecture: cifar/resnet8, architecture_args: {in_channels: 1}}
datasets:
  clean: {data: clean.npz, preprocessing: {crop: 8}}
  far: {data: /far/away}
recipes:
  T: temperature
  alpha=0.1: {steps: [{kind: set_alpha, alpha: 0.1}]}
settings: {threads: 1}
"""
TOML = """
[models.r8]
model = "r8.pth"
architecture = "cifar/resnet8"
architecture_args = {in_channels = 1}
[datasets]
clean = {data = "clean.npz", preprocessing = {crop = 8}}
far = {data = "/far/away"}
[recipes]
T = "temperature"
"alpha=0.1" = {steps = [{kind = "set_alpha", alpha = 0.1}]}
[settings]
threads = 1
"""


@pytest.mark.parametrize(("name", "text"), [("m.json", json.dumps(DOCUMENT)), ("m.yaml", YAML), ("m.toml", TOML)])
def test_every_format_gives_the_same_manifest(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    manifest = read(Manifest, tmp_path / name)
    assert manifest == Manifest.model_validate(DOCUMENT)
    assert isinstance(manifest.recipes["alpha=0.1"], Recipe)
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


@pytest.mark.parametrize(
    ("changed", "path", "said"),
    [
        ({"modles": {}}, "modles", "not permitted"),
        ({"models": {}}, "models", "at least 1"),
        ({"models": {"r8": {}}}, "models.r8.model", "required"),
        ({"recipes": {"r": {"steps": [{"kind": "set_alpha", "alpha": 2}]}}}, "recipes.r.steps[0].alpha", "2 was given"),
        ({"recipes": {"r": 5}}, "recipes.r", "5 was given"),
        ({"datasets": {"d": {"data": "x", "preprocessing": {"crop": -1}}}}, "datasets.d.preprocessing.crop", "-1"),
        ({"datasets": {"d": {"data": "x", "preprocessing": 3}}}, "datasets.d.preprocessing", "3 was given"),
        ({"settings": {"threads": 0}}, "settings.threads", "0 was given"),
        ({"settings": {"threads": True}}, "settings.threads", "true was given"),
        ({"settings": {"batch_size": True}}, "settings.batch_size", "true was given"),
        ({"version": True}, "version", "true was given"),
        ({"recipes": {"a": "alpha", "A": "alpha"}}, "recipes", "differ in case only"),
    ],
)
def test_a_broken_manifest_names_the_field(changed: dict[str, Any], path: str, said: str) -> None:
    with pytest.raises(RecipeError, match="afternorm schema manifest") as caught:
        parse(Manifest, {**DOCUMENT, **changed}, "m.yaml")
    assert [field for field, _ in caught.value.fields] == [path]
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "a\\b", ".hidden", "dot.", "a b", "α", "x" * 101])
@pytest.mark.parametrize("part", ["models", "datasets", "recipes"])
def test_a_name_that_cannot_be_a_folder_s_is_refused(part: str, name: str) -> None:
    value = next(iter(DOCUMENT[part].values()))
    with pytest.raises(RecipeError, match="cannot name a folder"):
        parse(Manifest, {**DOCUMENT, part: {name: value}}, "m.yaml")


def test_the_readme_s_manifest_is_one() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert [sorted(loads(Manifest, text, "README.md").recipes) for text in blocks if "models:" in text] == [
        ["alpha", "fixed"]
    ]
