"""Data in parts (train, val, test): which is read, what its classes are, and what is said."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibrate.data import TRAINING, open_data
from calibrate.errors import DataError, UsageError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

RAW = Preprocessing()
GREY = Preprocessing(channels=1, mean=(0.0,), std=(1.0,))
Write = Callable[..., Path]
random = np.random.default_rng(0)
X = random.integers(0, 256, (6, 5, 4), dtype=np.uint8)
Y = np.array([0, 1, 2, 2, 1, 0])


@pytest.fixture(params=["zip", "directory"])
def write(request: pytest.FixtureRequest, write_zip: Write, write_folder: Write) -> Write:
    return write_zip if request.param == "zip" else write_folder


@pytest.fixture
def parted(picture: Callable[..., bytes]) -> Callable[..., dict[str, bytes]]:
    """Class folders in parts: of each, one image a class, all different; ``train`` alone has the class ant."""

    def make(*parts: str, top: str = "") -> dict[str, bytes]:
        names = [(part, animal) for part in parts for animal in ("ant", "cat", "dog")]
        kept = [pair for pair in names if pair[1] != "ant" or pair[0] == parts[0]]
        return {f"{top}{part}/{animal}/1.png": picture(seed) for seed, (part, animal) in enumerate(kept)}

    return make


@pytest.mark.parametrize("top", ["", "pets/"])
@pytest.mark.parametrize("val", ["val", "valid", "validation", "dev", "Val", "validation_set", "val2017"])
def test_the_validation_part_is_read_and_numbered_among_all(
    write: Write, parted: Callable[..., dict[str, bytes]], val: str, top: str
) -> None:
    contents = parted("train", val, "test", top=top)
    usual = open_data(write(contents), preprocessing=RAW)
    assert usual.class_names == ("ant", "cat", "dog")
    assert usual.labels.tolist() == [1, 2]
    assert usual.entry(0).startswith(f"'{top}{val}/cat/1.png' in ")
    assert [item.code for item in usual.findings] == ["part-taken", "folders-empty"]
    assert f"test, train, {val}" in usual.findings[0].message or f"{val}, test, train" in usual.findings[0].message
    assert "--split" in usual.findings[0].message


def test_any_part_can_be_named_and_is_what_it_is_alone(write: Write, parted: Callable[..., dict[str, bytes]]) -> None:
    contents = parted("train", "valid", "test", "extra")
    data = write(contents)
    for named, folder in [
        ("train", "train"),
        ("val", "valid"),
        ("VALID", "valid"),
        ("testing", "test"),
        ("extra", "extra"),
    ]:
        source = open_data(data, preprocessing=RAW, split=named)
        alone = {name.removeprefix(f"{folder}/"): it for name, it in contents.items() if name.startswith(f"{folder}/")}
        single = open_data(write(alone, f"{named}.zip"), preprocessing=RAW, classes=["ant", "cat", "dog"])
        assert torch.equal(inputs_of(source), inputs_of(single))
        assert source.labels.tolist() == single.labels.tolist()
        assert source.fingerprint == single.fingerprint
        assert "part-taken" not in {item.code for item in source.findings}
    with pytest.raises(DataError, match=r"no part 'holdout': its folders are extra, test, train, valid; name one"):
        open_data(data, preprocessing=RAW, split="holdout")
    with pytest.raises(DataError, match=r"extra, .* are parts of the data, name one of them with --split"):
        open_data(data, preprocessing=RAW)


@pytest.mark.parametrize(
    ("parts", "split", "said"),
    [
        (("train", "training"), None, "none of that is val or test; name with --split"),
        (("train", "val", "valid"), "dev", "val and valid are both dev"),
    ],
)
def test_what_is_not_clear_is_refused(
    write_zip: Write, parted: Callable[..., dict[str, bytes]], parts: tuple[str, ...], split: str | None, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        open_data(write_zip(parted(*parts)), preprocessing=RAW, split=split)


def test_training_data_are_the_training_part(write_zip: Write, parted: Callable[..., dict[str, bytes]]) -> None:
    source = open_data(write_zip(parted("train", "val")), preprocessing=RAW, usual=TRAINING)
    assert source.labels.tolist() == [0, 1, 2]


def test_a_part_without_labels_and_parts_that_are_classes(write_zip: Write, picture: Callable[..., bytes]) -> None:
    flat = {f"{part}/{number}.png": picture(number) for part in ("train", "test") for number in range(2)}
    classes = open_data(write_zip(flat), preprocessing=RAW)
    assert classes.class_names == ("test", "train")
    assert open_data(write_zip(flat), preprocessing=RAW, split="test").labels is None
    imagenet = {**flat, "train/cat/9.png": picture(9)}
    del imagenet["train/0.png"], imagenet["train/1.png"]
    source = open_data(write_zip(imagenet), preprocessing=RAW)
    assert (len(source), source.labels) == (2, None)


def test_a_split_of_data_without_parts_is_refused(write_zip: Write, pets: dict[str, bytes], tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", x=X, y=Y)
    for data in (write_zip(pets), tmp_path / "one.npz", [(torch.zeros(3), 0)]):
        with pytest.raises(DataError, match=r"has no part 'val'.*--split"):
            open_data(data, preprocessing=RAW, split="val")
    with pytest.raises(UsageError, match="open already"):
        open_data(open_data([(torch.zeros(3), 0)], preprocessing=None), preprocessing=None, split="val")


@pytest.mark.parametrize(
    "form",
    ["{}_images,{}_labels", "x_{},y_{}", "X_{},Y_{}", "images_{},labels_{}", "{}_data,{}_target", "{}_image,{}_label"],
)
def test_arrays_of_parts(tmp_path: Path, form: str) -> None:
    inputs, labels = form.split(",")
    arrays = {}
    for number, part in enumerate(("train", "val", "test")):
        arrays |= {inputs.format(part): X + number, labels.format(part): (Y + number)[:, None].astype(np.uint8)}
    np.savez(tmp_path / "med.npz", **arrays)
    usual = open_data(tmp_path / "med.npz", preprocessing=GREY)
    for number, part in enumerate(("train", "val", "test")):
        source = open_data(tmp_path / "med.npz", preprocessing=GREY, split=part)
        assert source.labels.tolist() == (Y + number).tolist()
        np.testing.assert_allclose(inputs_of(source)[:, 0].numpy(), (X + number) / np.float32(255))
        assert source.findings == ()
        assert (source.fingerprint == usual.fingerprint) == (part == "val")
    assert [item.code for item in usual.findings] == ["part-taken"]
    with zipfile.ZipFile(tmp_path / "med.npz") as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if "val" not in name}
    with zipfile.ZipFile(tmp_path / "keras.npz", "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    assert open_data(tmp_path / "keras.npz", preprocessing=GREY).labels.tolist() == (Y + 2).tolist()


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        (Y[:, None], []),
        (Y[:, None, None].astype(np.uint8), []),
        (np.eye(3, dtype=np.int64)[Y], ["labels-converted"]),
        (np.eye(3, dtype=bool)[Y], ["labels-converted"]),
        (np.eye(7, dtype=np.float32)[Y], ["labels-converted"]),
        (Y.astype(np.float64), ["labels-converted"]),
        (Y[:, None].astype(np.float32), ["labels-converted"]),
    ],
)
def test_labels_in_other_shapes(tmp_path: Path, labels: Any, codes: list[str]) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=labels)
    source = open_data(tmp_path / "data.npz", preprocessing=GREY)
    assert source.labels.tolist() == Y.tolist()
    assert [item.code for item in source.findings] == codes


@pytest.mark.parametrize("change", ["two", "none", "other", "half"])
def test_rows_that_are_not_one_hot_are_refused(tmp_path: Path, change: str) -> None:
    rows = np.eye(3)[Y]
    rows[4] = {"two": [1, 1, 0], "none": [0, 0, 0], "other": [0, 2, 1], "half": [0.5, 0.5, 0]}[change]
    np.savez(tmp_path / "data.npz", x=X, y=rows)
    with pytest.raises(DataError, match=r"row 4 is not one-hot"):
        open_data(tmp_path / "data.npz", preprocessing=GREY)


def test_a_part_with_inputs_alone_has_no_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=X, y_train=Y, x_test=X)
    source = open_data(tmp_path / "data.npz", preprocessing=GREY)
    assert (len(source), source.labels) == (6, None)


@pytest.mark.parametrize("column", ["split", "set", "Subset"])
def test_a_column_may_say_the_part(write_folder: Write, pets: dict[str, bytes], column: str) -> None:
    root = write_folder(pets)
    rows = [(name, name.split("/")[0], ("train", "valid", "test")[number % 3]) for number, name in enumerate(pets)]
    (root / "list.csv").write_text(f"path,label,{column}\n" + "".join(f"{','.join(row)}\n" for row in rows))
    for named, part in [(None, "valid"), ("train", "train"), ("val", "valid"), ("test", "test")]:
        source = open_data(root / "list.csv", preprocessing=RAW, split=named)
        assert [source.entry(row).split("'")[1] for row in range(len(source))] == [
            name for name, _, of in rows if of == part
        ]
        assert [item.code for item in source.findings] == ([] if named else ["part-taken"])
    (root / "list.csv").write_text(f"path,label,{column}\ncat/1.png,cat,7\ndog/a.png,dog,\n")
    source = open_data(root / "list.csv", preprocessing=RAW)
    assert len(source) == 2
    assert [item.code for item in source.findings] == ["columns-unused"]
    with pytest.raises(DataError, match=r"no part 'val'.*columns"):
        open_data(root / "list.csv", preprocessing=RAW, split="val")


def test_a_mapping_of_parts() -> None:
    parts = {name: [(torch.full((3,), float(number)), number)] for number, name in enumerate(("train", "validation"))}
    assert open_data(parts, preprocessing=None).labels.tolist() == [1]
    assert open_data(parts, preprocessing=None, split="train").labels.tolist() == [0]


def test_the_part_that_was_read_is_in_the_name_of_the_data(
    write: Write, parted: Callable[..., dict[str, bytes]], pets: dict[str, bytes], tmp_path: Path
) -> None:
    folders, arrays = write(parted("train", "val"), "parted.zip"), tmp_path / "parts.npz"
    np.savez(arrays, train_images=X, train_labels=Y, val_images=X, val_labels=Y)
    mapping = {part: [(torch.zeros(3), 0)] for part in ("train", "val")}
    for data, called in [(folders, str(folders)), (arrays, str(arrays)), (mapping, "dict")]:
        assert open_data(data, preprocessing=GREY).name == f"{called} (val)"
        assert open_data(data, preprocessing=GREY, split="train").name == f"{called} (train)"
    plain = write(pets, "plain.zip")
    assert open_data(plain, preprocessing=RAW).name == str(plain)


def test_so_is_the_part_that_a_column_says(write_folder: Write, pets: dict[str, bytes]) -> None:
    table = write_folder(pets) / "list.csv"
    first, second, *_ = pets
    table.write_text(f"path,label,split\n{first},dog,train\n{second},dog,valid\n")
    assert open_data(table, preprocessing=RAW).name == f"{table} (valid)"
