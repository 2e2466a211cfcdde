"""A request's digest: everything asked for counts, and nothing else."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from calibrate.batch import Combination, read_cells
from calibrate.batch.cells import _data
from calibrate.batch.request import request_digests
from calibrate.errors import UsageError
from calibrate.recipe import PRESETS, Outputs, Preprocessing, RunSettings
from calibrate.request import RunRequest


@pytest.fixture
def cell(tmp_path: Path) -> Combination:
    for name in ("model.pth", "names.txt", "other.txt", "data/cat/1.png", "data/dog/1.png", "copy/cat/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return Combination(
        names=("m", "d", "r"),
        request=RunRequest(
            model=tmp_path / "model.pth",
            architecture="cifar/resnet8",
            architecture_args={"in_channels": 1},
            data="data",
            classes=tmp_path / "names.txt",
            preprocessing=Preprocessing(crop=8),
            recipe=PRESETS["alpha"],
        ),
        files=tmp_path / "data",
    )


def asking(cell: Combination, **fields: Any) -> Combination:
    """The cell with a request that is another in these fields."""
    return replace(cell, request=cell.request.model_copy(update=fields))


MANIFEST = """
models:
  a: {model: model.pth, architecture: cifar/resnet8, architecture_args: {in_channels: 1}}
datasets:
  near: {data: "https://host/near.zip", classes: names.txt, class_map: map.csv, preprocessing: {crop: 8}}
  far: {data: "https://host/far.zip"}
recipes: {alpha: alpha, statistics: precise_bn}
settings: {threads: 1, batch_size: 16}
outputs: {formats: [safetensors]}
"""
CHANGES: dict[str, Any] = {
    "architecture": "cifar/resnet14",
    "architecture_args": None,
    "weights": "ema",
    "data": "elsewhere",
    "training_data": "elsewhere",
    "classes": "other.txt",
    "class_map": "other.txt",
    "split": "val",
    "skip_broken": 1,
    "training_split": "val",
    "training_skip_broken": 2,
    "preprocessing": Preprocessing(),
    "recipe": PRESETS["temperature"],
    "outputs": Outputs(latency_runs=3),
    "settings": RunSettings(threads=1),
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_of_a_request_counts(field: str, cell: Combination, tmp_path: Path) -> None:
    value = tmp_path / CHANGES[field] if field in ("classes", "class_map") else CHANGES[field]
    one, other = request_digests([cell, asking(cell, **{field: value})])
    assert one != other


def test_every_field_of_a_request_is_among_those_tried() -> None:
    assert {*CHANGES} == {*RunRequest.model_fields} - {"version", "model", "reference"}


def test_the_content_of_a_reference_counts_where_a_step_compares_with_it(cell: Combination, tmp_path: Path) -> None:
    (tmp_path / "named.json").write_text("named")
    comparing = asking(cell, recipe=PRESETS["field_shift"])
    named = asking(comparing, reference=tmp_path / "named.json")
    indifferent, other, none, one = request_digests(
        [cell, asking(cell, reference=tmp_path / "named.json"), comparing, named]
    )
    assert indifferent == other
    assert none != one
    (tmp_path / "model.reference.json").write_text("beside")
    (beside,) = request_digests([comparing])
    assert beside not in (none, one)
    assert request_digests([named]) == (one,)
    training = asking(comparing, training_data="data")
    (tmp_path / "model.reference.json").write_text("other")
    assert request_digests([comparing]) != (beside,)
    assert training.request.reference_file is None


def test_the_digest_of_a_request_is_what_it_was_when_its_batch_began(cell: Combination, tmp_path: Path) -> None:
    """Literals that commit 97bd6f0 made: a half-finished batch goes on after an upgrade."""
    for picture in (tmp_path / "data").rglob("*.png"):
        os.utime(picture, ns=(1, 1))
    assert request_digests([cell]) == ("0b4075ce93ccafd43704b08b4629889d1596ea533d12edfcc8b0f5da5735eb37",)
    (tmp_path / "map.csv").write_text("map.csv")
    (tmp_path / "m.yaml").write_text(MANIFEST)
    assert request_digests(read_cells(tmp_path / "m.yaml")) == (
        "1215d8abe4de4752e493efa84b8f22c46fc2a0d63df39e28eab7d25342c2f6ea",
        "84e406202a385eda1136c595086e5a8dee5ea84a07d9ff2f60062da6d3bc83c8",
        "5018121e6a3831b4aa6c63e135aac5c42caa63fc684743df12821c81ac7693d4",
        "de4da19b2b9223e15f3fc4aa586dd53719d5d1b5138a99be9b7444fc1c54b6ac",
    )


def test_training_data_count_for_the_recipes_that_use_them(tmp_path: Path) -> None:
    for name in ("model.pth", "names.txt", "map.csv", "seen.npz"):
        (tmp_path / name).write_text(name)
    (tmp_path / "m.yaml").write_text(MANIFEST)
    before = request_digests(read_cells(tmp_path / "m.yaml"))
    (tmp_path / "m.yaml").write_text(MANIFEST.replace("far.zip", 'far.zip", training_data: "seen.npz'))
    cells = read_cells(tmp_path / "m.yaml")
    seen = tmp_path / "seen.npz"
    assert [(cell.request.training_data, cell.training_files) for cell in cells] == [
        *[(None, None)] * 3,
        (str(seen), seen),
    ]
    after = request_digests(cells)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, True, False]
    seen.write_text("others")
    assert [one == other for one, other in zip(after, request_digests(cells), strict=True)] == [True, True, True, False]


def test_training_data_that_no_recipe_uses_are_refused(tmp_path: Path) -> None:
    for name in ("model.pth", "d.npz", "seen.npz"):
        (tmp_path / name).write_text(name)
    (tmp_path / "m.yaml").write_text(
        "models: {a: {model: model.pth}}\ndatasets: {d: {data: d.npz, training_data: seen.npz}}\nrecipes: {t: alpha}\n"
    )
    with pytest.raises(UsageError, match="gives d training_data, and none of its recipes uses them"):
        read_cells(tmp_path / "m.yaml")


def test_no_preprocessing_is_not_the_default_preprocessing(cell: Combination) -> None:
    shapes = (None, Preprocessing())
    assert len(set(request_digests([asking(cell, preprocessing=shape) for shape in shapes]))) == 2


def test_names_count_for_nothing_and_a_checkpoint_by_its_content(cell: Combination, tmp_path: Path) -> None:
    (tmp_path / "moved.pth").write_text("model.pth")
    before = request_digests([cell])
    assert request_digests([replace(asking(cell, model=tmp_path / "moved.pth"), names=("x", "y", "z"))]) == before
    cell.request.model.write_text("MODEL.pth")
    assert request_digests([cell]) != before


@pytest.mark.parametrize("change", ["touch", "grow", "add", "remove"])
def test_a_changed_data_folder_is_other_data(change: str, cell: Combination) -> None:
    before = request_digests([cell])
    assert cell.files is not None
    picture = cell.files / "dog" / "1.png"
    if change == "touch":
        os.utime(picture, ns=(1, 1))
    elif change == "grow":
        stat = picture.stat()
        picture.write_text("longer than it was")
        os.utime(picture, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "add":
        (cell.files / "dog" / "2.png").write_text("new")
    else:
        picture.unlink()
    assert request_digests([cell]) != before


def test_cells_are_in_the_manifest_s_order_with_its_paths_and_our_settings(tmp_path: Path) -> None:
    for name in ("a.pth", "b.pth", "d.npz"):
        (tmp_path / name).write_text("")
    (tmp_path / "r.yaml").write_text("steps: [{kind: temperature}]")
    (tmp_path / "p.yaml").write_text("{crop: 7}")
    (tmp_path / "m.yaml").write_text(
        "models: {b: {model: b.pth}, a: {model: a.pth}}\n"
        "datasets: {d: {data: d.npz, preprocessing: p.yaml}}\n"
        "recipes: {t: r.yaml, alpha: alpha}\n"
        "settings: {batch_size: 8, threads: 3}\n"
    )
    cells = read_cells(tmp_path / "m.yaml", batch_size=None, threads=1)
    assert [cell.name for cell in cells] == ["b/d/t", "b/d/alpha", "a/d/t", "a/d/alpha"]
    assert [step.kind for step in cells[0].request.recipe.steps] == ["temperature"]
    assert (cells[0].request.model, cells[0].request.data) == (tmp_path / "b.pth", str(tmp_path / "d.npz"))
    assert cells[0].request.preprocessing == Preprocessing(crop=7)
    assert cells[0].request.settings == RunSettings(batch_size=8, threads=1)


def test_missing_files_are_all_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "models: {a: {model: a.pth}}\n"
        "datasets: {d: {data: d.npz, training_data: t.npz, classes: c.txt, class_map: m.csv}}\n"
        "recipes: {t: precise_bn}\n"
    )
    with pytest.raises(UsageError) as caught:
        read_cells(tmp_path / "m.yaml")
    assert all(str(tmp_path / name) in str(caught.value) for name in ("a.pth", "d.npz", "t.npz", "c.txt", "m.csv"))


def test_a_path_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    long = "a" * 300
    (tmp_path / "m.yaml").write_text(
        f"models: {{a: {{model: {long}.pth}}}}\n"
        f"datasets: {{d: {{data: {long}.npz, classes: {long}.txt}}}}\nrecipes: {{t: alpha}}\n"
    )
    with pytest.raises(UsageError, match=r"a\.pth; the data of d, .*a\.npz; the class names of d, .*a\.txt"):
        read_cells(tmp_path / "m.yaml")


@pytest.mark.parametrize(
    ("given", "data", "files"),
    [
        ("sub/d.zip", "{folder}/sub/d.zip", "{folder}/sub/d.zip"),
        ("/abs/d.zip", "/abs/d.zip", "/abs/d.zip"),
        ("https://host/d.zip", "https://host/d.zip", None),
        (
            "torchvision:MNIST?train=true&root=sub",
            "torchvision:MNIST?train=true&root={folder}/sub",
            "{folder}/sub",
        ),
    ],
)
def test_paths_in_data_are_relative_to_the_manifest(given: str, data: str, files: str | None) -> None:
    folder = Path("/home/me")
    found, place = _data(given, folder)
    assert unquote(found) == data.format(folder=folder)
    assert place == (Path(files.format(folder=folder)) if files else None)
