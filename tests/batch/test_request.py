"""A request's digest: everything asked for counts, and nothing else."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from calibrate.batch import Combination, read_cells
from calibrate.batch.cells import _data
from calibrate.batch.request import arguments, request_digests
from calibrate.errors import UsageError
from calibrate.recipe import PRESETS, Outputs, Preprocessing, RunSettings


@pytest.fixture
def cell(tmp_path: Path) -> Combination:
    for name in ("model.pth", "names.txt", "other.txt", "data/cat/1.png", "data/dog/1.png", "copy/cat/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return Combination(
        names=("m", "d", "r"),
        model=tmp_path / "model.pth",
        architecture="cifar/resnet8",
        architecture_args={"in_channels": 1},
        data=str(tmp_path / "data"),
        files=tmp_path / "data",
        class_map=None,
        classes=tmp_path / "names.txt",
        preprocessing=Preprocessing(crop=8),
        recipe=PRESETS["alpha"],
        outputs=Outputs(),
        settings=RunSettings(),
    )


CHANGES: dict[str, Any] = {
    "architecture": "cifar/resnet14",
    "architecture_args": None,
    "data": "elsewhere",
    "classes": "other.txt",
    "class_map": "other.txt",
    "preprocessing": Preprocessing(),
    "recipe": PRESETS["temperature"],
    "outputs": Outputs(latency_runs=3),
    "settings": RunSettings(threads=1),
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_of_a_request_counts(field: str, cell: Combination, tmp_path: Path) -> None:
    value = tmp_path / CHANGES[field] if field in ("classes", "class_map") else CHANGES[field]
    changed = replace(cell, **{field: value})
    one, other = request_digests([cell, changed])
    assert one != other
    assert arguments(cell, tmp_path) != arguments(changed, tmp_path)


def test_no_preprocessing_is_not_the_default_preprocessing(cell: Combination) -> None:
    shapes = (None, Preprocessing())
    assert len(set(request_digests([replace(cell, preprocessing=shape) for shape in shapes]))) == 2


def test_names_count_for_nothing_and_a_checkpoint_by_its_content(cell: Combination, tmp_path: Path) -> None:
    (tmp_path / "moved.pth").write_text("model.pth")
    before = request_digests([cell])
    assert request_digests([replace(cell, names=("x", "y", "z"), model=tmp_path / "moved.pth")]) == before
    cell.model.write_text("MODEL.pth")
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


def test_every_output_and_setting_is_handed_to_the_child(cell: Combination, tmp_path: Path) -> None:
    given = {text.partition("=")[0] for text in arguments(replace(cell, settings=RunSettings(threads=2)), tmp_path)}
    fields = {*Outputs.model_fields, *RunSettings.model_fields}
    assert {f"--{name.replace('_', '-')}" for name in fields} <= given


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
    assert [step.kind for step in cells[0].recipe.steps] == ["temperature"]
    assert (cells[0].model, cells[0].data) == (tmp_path / "b.pth", str(tmp_path / "d.npz"))
    assert cells[0].preprocessing == Preprocessing(crop=7)
    assert cells[0].settings == RunSettings(batch_size=8, threads=1)


def test_missing_files_are_all_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "models: {a: {model: a.pth}}\n"
        "datasets: {d: {data: d.npz, classes: c.txt, class_map: m.csv}}\n"
        "recipes: {t: temperature}\n"
    )
    with pytest.raises(UsageError) as caught:
        read_cells(tmp_path / "m.yaml")
    assert all(str(tmp_path / name) in str(caught.value) for name in ("a.pth", "d.npz", "c.txt", "m.csv"))


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
