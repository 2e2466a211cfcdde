"""Patterns in a manifest: each file that matches is an entry of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from calibrate.batch import read_cells
from calibrate.errors import UsageError

FILES = [
    *("runs/2/best.pth", "runs/10/best.pth", "runs/a b/best.pth", "runs/10/last.pth", "net-1.pth", "net-02.pth"),
    *("sets/day.zip", "sets/night.zip", "sets/deep/day.zip", "odd[1].zip", "x/a b.zip", "x/a_b.zip", "x/a+b.zip"),
    *("X/A.zip", "X/a.zip", "y/a b.zip", "y/a,b.zip"),
]
Expand = Callable[..., dict[str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def cells(
    folder: Path, model: str = "net-1.pth", data: str = "sets/day.zip", more: str = ""
) -> dict[str, tuple[str, str]]:
    """Model and data of each cell, relative to the manifest, by the names of its model and dataset."""
    (folder / "manifest.yaml").write_text(
        f"models: {{m: {{model: '{model}'}}{more}}}\ndatasets: {{d: {{data: '{data}'}}}}\nrecipes: {{T: temperature}}\n"
    )
    return {
        "/".join(cell.names[:2]): (
            str(Path(cell.request.model).relative_to(folder)),
            str(Path(cell.request.data).relative_to(folder)),
        )
        for cell in read_cells(folder / "manifest.yaml")
    }


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("runs/*/best.pth", {"m-2": "runs/2/best.pth", "m-10": "runs/10/best.pth", "m-a-b": "runs/a b/best.pth"}),
        ("runs/10/*.pth", {"m-best": "runs/10/best.pth", "m-last": "runs/10/last.pth"}),
        ("net-*.pth", {"m-1": "net-1.pth", "m-02": "net-02.pth"}),
        ("net-?.pth", {"m-1": "net-1.pth"}),
        ("net-[0-9].pth", {"m-1": "net-1.pth"}),
        ("runs/1*/b*.pth", {"m-10-est": "runs/10/best.pth"}),
        ("net-1.pth", {"m": "net-1.pth"}),
    ],
)
def test_models(folder: Path, pattern: str, found: dict[str, str]) -> None:
    made = cells(folder, model=pattern)
    assert [(name.split("/")[0], model) for name, (model, _) in made.items()] == list(found.items())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("sets/*.zip", {"d-day": "sets/day.zip", "d-night": "sets/night.zip"}),
        ("sets/**/*.zip", {"d-day": "sets/day.zip", "d-deep-day": "sets/deep/day.zip", "d-night": "sets/night.zip"}),
        ("odd[1].zip", {"d": "odd[1].zip"}),
    ],
)
def test_data(folder: Path, pattern: str, found: dict[str, str]) -> None:
    made = cells(folder, data=pattern)
    assert {name.split("/")[1]: data for name, (_, data) in made.items()} == found


def test_both_and_what_is_told(folder: Path) -> None:
    assert len(cells(folder, "runs/*/best.pth", "sets/*.zip")) == 6
    told: list[str] = []
    read_cells(folder / "manifest.yaml", tell=told.append)
    assert told == [
        "m: runs/*/best.pth is 3 files: m-2, m-10, m-a-b",
        "d: sets/*.zip is 2 files: d-day, d-night",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "runs/*/none.pth"}, "no file matches runs/\\*/none.pth"),
        ({"data": "nowhere/*.zip"}, "no file matches nowhere"),
        ({"model": "a" * 300 + "*.pth"}, "no file matches aaa"),
        ({"data": "y/*.zip"}, "would both be called d-a-b"),
        ({"data": "X/*.zip"}, "differ in case only"),
        ({"model": "net-?.pth", "more": ", m-1: {model: net-02.pth}"}, "two entries are called m-1"),
    ],
)
def test_what_cannot_be_expanded_is_refused(folder: Path, change: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cells(folder, **change)


def test_a_set_of_torchvision_is_no_pattern(folder: Path) -> None:
    (folder / "manifest.yaml").write_text(
        "models: {m: {model: net-1.pth}}\nrecipes: {T: temperature}\n"
        "datasets: {d: {data: 'torchvision:MNIST?root=sets'}}\n"
    )
    (cell,) = read_cells(folder / "manifest.yaml")
    assert cell.names == ("m", "d", "T")
    assert cell.request.data.startswith("torchvision:MNIST?root=")
