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
    assert "extra, test, train, valid, and valid was read" in open_data(data, preprocessing=RAW).findings[0].message
    with pytest.raises(DataError, match=r"extra, train are parts of the data, name one of them with --split"):
        open_data(write(parted("train", "extra"), "other.zip"), preprocessing=RAW)


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


def test_images_directly_in_parts_have_no_labels(write_zip: Write, picture: Callable[..., bytes]) -> None:
    for top in ("", "pets/"):
        flat = {f"{top}{part}/{number}.png": picture(number) for part in ("train", "test") for number in range(2)}
        data = write_zip(flat)
        source = open_data(data, preprocessing=RAW)
        assert (len(source), source.labels) == (2, None)
        assert [item.code for item in source.findings] == ["part-taken", "parts-unlabelled"]
        assert open_data(data, preprocessing=RAW, split="test").fingerprint == source.fingerprint
        classes = open_data(data, preprocessing=RAW, classes=["test", "cat", "train"])
        assert classes.labels.tolist() == [0, 0, 2, 2] or classes.labels.tolist() == [0, 2, 0, 2]
    imagenet = {**flat, "pets/train/cat/9.png": picture(9)}
    del imagenet["pets/train/0.png"], imagenet["pets/train/1.png"]
    source = open_data(write_zip(imagenet), preprocessing=RAW)
    assert (len(source), source.labels) == (2, None)


#: Each place of a val image that has the class cat, with {} for the part, where the classes are cat and dog.
NESTED = {
    "around": "{}/cat/1.png",
    "one around": "pets/{}/cat/1.png",
    "two around": "pets/pets/{}/cat/1.png",
    "below": "cat/{}/1.png",
    "below one around": "pets/cat/{}/1.png",
    "in a part of its name": "{0}/{0}/cat/1.png",
}


@pytest.mark.parametrize("place", NESTED.values(), ids=NESTED.keys())
@pytest.mark.parametrize(
    ("train", "val"), [("train", "val"), ("train_256", "val_256"), ("seg_train", "seg_val"), ("trainImgs", "devImgs")]
)
def test_parts_are_found_wherever_they_lie(
    write: Write, picture: Callable[..., bytes], place: str, train: str, val: str
) -> None:
    other = place.replace("cat", "dog")
    contents = {place.format(train): picture(0), other.format(train): picture(1), other.format(val): picture(2)}
    source = open_data(write(contents), preprocessing=RAW)
    assert source.class_names == ("cat", "dog")
    assert source.labels.tolist() == [1]
    assert source.entry(0).startswith(f"'{other.format(val)}'")
    assert [item.code for item in source.findings].count("part-taken") == 1
    learned = open_data(write(contents, "again.zip"), preprocessing=RAW, split="train")
    assert learned.labels.tolist() == [0, 1]


@pytest.mark.parametrize("place", [*NESTED.values(), "{}/1.png", "pets/{}/1.png", "pets/cat/dog/{}/x/1.png"])
@pytest.mark.parametrize("part", ["train", "Training", "train2017"])
def test_training_data_alone_are_read_by_name_only(
    write: Write, picture: Callable[..., bytes], place: str, part: str
) -> None:
    data = write({place.format(part): picture(0)})
    with pytest.raises(DataError, match=rf"holds {part}, and none of that is val or test; name with --split"):
        open_data(data, preprocessing=RAW)
    assert len(open_data(data, preprocessing=RAW, split="train")) == 1
    assert len(open_data(data, preprocessing=RAW, usual=TRAINING)) == 1


@pytest.mark.parametrize("top", ["", "vehicles/", "val/"])
def test_a_class_may_be_called_as_a_part_is(write: Write, picture: Callable[..., bytes], top: str) -> None:
    contents = {f"{top}{name}/1.png": picture(seed) for seed, name in enumerate(("train", "plane", "car"))}
    source = open_data(write(contents), preprocessing=RAW)
    assert source.class_names == ("car", "plane", "train")
    assert [item.code for item in source.findings if "'train'" in item.message] == ["part-taken-as-class"]


def test_a_class_called_as_a_part_in_the_one_part_that_has_it(write: Write, picture: Callable[..., bytes]) -> None:
    places = ("train/train/1.png", "train/plane/1.png", "val/train/2.png")
    source = open_data(write({place: picture(0) for place in places}), preprocessing=RAW)
    assert (source.class_names, source.labels.tolist()) == (("plane", "train"), [1])


def test_images_beside_the_parts_are_left_out_and_counted(
    write: Write, parted: Callable[..., dict[str, bytes]], picture: Callable[..., bytes]
) -> None:
    contents = parted("train", "val", top="pets/")
    alone = open_data(write(contents), preprocessing=RAW)
    source = open_data(write(contents | {"pets/x.png": picture(9)}, "stray.zip"), preprocessing=RAW)
    assert (source.labels.tolist(), source.fingerprint) == (alone.labels.tolist(), alone.fingerprint)
    (finding,) = (item for item in source.findings if item.code == "images-beside-parts")
    assert "'pets/x.png'" in finding.message
    few = {"cat/1.png": picture(0), "dog/1.png": picture(1), "dog/test/1.png": picture(2)}
    with pytest.raises(DataError, match="does not lie directly in a class folder"):
        open_data(write(few, "few.zip"), preprocessing=RAW)


def test_a_split_of_data_without_parts_is_refused(write_zip: Write, pets: dict[str, bytes], tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", x=X, y=Y)
    for data in (write_zip(pets), tmp_path / "one.npz", [(torch.zeros(3), 0)]):
        with pytest.raises(DataError, match=r"has no part 'val'.*--split"):
            open_data(data, preprocessing=RAW, split="val")
    with pytest.raises(UsageError, match="open already"):
        open_data(open_data([(torch.zeros(3), 0)], preprocessing=None), preprocessing=None, split="val")


@pytest.mark.parametrize(
    "form",
    [
        "{}_images,{}_labels",
        "x_{},y_{}",
        "X_{},Y_{}",
        "images_{},labels_{}",
        "{}_data,{}_target",
        "{}_image,{}_label",
        "{}_data,{}_labels",
        "{}_X,{}_y",
        "{}_set_x,{}_set_y",
        "{}Images,{}Labels",
    ],
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
        (Y.astype(">f2"), ["labels-converted"]),
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


@pytest.mark.parametrize(
    ("header", "train", "val"),
    [
        ("Usage", "Training", "PublicTest"),
        ("Usage", "Training", "PrivateTest"),
        ("partition", "train", "val"),
        ("phase", "TRAIN", "TEST"),
        ("is_train", "1", "0"),
        ("Is Training", "True", "False"),
        ("is_valid", "False", "True"),
        ("is_training_img", "1.0", "0.0"),
        ("data set", "train", "test"),
        ("whatever it is called", "train_0", "test_0"),
        ("fold", "a_train", "a_dev"),
    ],
)
def test_a_column_of_parts_is_known_by_what_it_says(
    write_folder: Write, pets: dict[str, bytes], header: str, train: str, val: str
) -> None:
    root = write_folder(pets)
    rows = [(name, name.split("/")[0], val if number % 3 else train) for number, name in enumerate(pets)]
    (root / "list.csv").write_text(f"path,label,{header}\n" + "".join(f"{','.join(row)}\n" for row in rows))
    for named, usual, part in [(None, None, val), (None, TRAINING, train), ("train", None, train)]:
        given = {} if usual is None else {"usual": usual}
        source = open_data(root / "list.csv", preprocessing=RAW, split=named, **given)
        wanted = [name for name, _, of in rows if of == part]
        assert [source.entry(row).split("'")[1] for row in range(len(source))] == wanted
        assert "columns-unused" not in {item.code for item in source.findings}


def test_other_parts_and_other_columns_are_told_apart(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    texts = {
        "note": ["train", "test", "car", "bus", "van", "ship", "bike"],
        "where": ["train", "val", "extra", "extra", "val", "train", "train"],
    }
    rows = [",".join((name, "0", *values)) for name, *values in zip(pets, *texts.values(), strict=True)]
    (root / "list.csv").write_text("\n".join([f"path,label,{','.join(texts)}", *rows]))
    for named in (None, "val", "extra"):
        assert len(open_data(root / "list.csv", preprocessing=RAW, split=named)) == 2
    with pytest.raises(DataError, match=r"'where' of .* has no part 'test'; it holds extra, train, val"):
        open_data(root / "list.csv", preprocessing=RAW, split="test")


@pytest.mark.parametrize(("header", "value"), [("Usage", "Training"), ("is_train", "1"), ("phase", "train")])
def test_a_column_of_training_rows_alone_is_refused(
    write_folder: Write, pets: dict[str, bytes], header: str, value: str
) -> None:
    root = write_folder(pets)
    (root / "list.csv").write_text(f"path,label,{header}\n" + "".join(f"{name},0,{value}\n" for name in pets))
    with pytest.raises(DataError, match=f"'{header}' of .*none of that is val or test; name with --split"):
        open_data(root / "list.csv", preprocessing=RAW)
    assert len(open_data(root / "list.csv", preprocessing=RAW, split="train")) == len(pets)


def test_word_classes_of_a_manifest_are_numbered_over_all_parts(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    of = {"dog": "val", "cat": "val", "ant": "train"}
    rows = "".join(f"{name},{name.split('/')[0]},{of[name.split('/')[0]]}\n" for name in pets)
    (root / "list.csv").write_text(f"path,label,split\n{rows}")
    source = open_data(root / "list.csv", preprocessing=RAW)
    assert source.class_names == ("ant", "cat", "dog")
    assert sorted({*source.labels.tolist()}) == [1, 2]


def test_a_mapping_of_parts() -> None:
    parts = {name: [(torch.full((3,), float(number)), number)] for number, name in enumerate(("train", "validation"))}
    assert open_data(parts, preprocessing=None).labels.tolist() == [1]
    assert open_data(parts, preprocessing=None, split="train").labels.tolist() == [0]
    more = parts | {"unsupervised": [(torch.zeros(3), 0)]}
    assert open_data(more, preprocessing=None).labels.tolist() == [1]
    assert open_data(more, preprocessing=None, split="unsupervised").labels.tolist() == [0]
    with pytest.raises(DataError, match="the keys 'x', 'y', which are no parts"):
        open_data({"x": torch.zeros(3), "y": 0}, preprocessing=None)


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
