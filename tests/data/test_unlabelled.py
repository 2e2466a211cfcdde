"""Data without labels: the same inputs as with labels, and nothing that could be taken for a label."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from calibrate.data import Augmented, Source, open_data, split, split_unlabelled
from calibrate.errors import DataError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

RAW = Preprocessing()
Write = Callable[..., Path]


@pytest.fixture(params=["directory", "zip", "csv", "npz"])
def both(
    request: pytest.FixtureRequest,
    write_folder: Write,
    write_zip: Write,
    picture: Callable[..., bytes],
    tmp_path: Path,
) -> tuple[Source, Source]:
    """The same images without labels and with."""
    images = {f"{seed}.png": picture(seed) for seed in range(5)}
    labelled = {f"cat/{name}": content for name, content in images.items()}
    if request.param == "directory":
        places = write_folder(images, "bare"), write_folder(labelled, "full")
    elif request.param == "zip":
        places = write_zip(images, "bare.zip"), write_zip(labelled, "full.zip")
    elif request.param == "csv":
        places = (write_folder(images, "one") / "bare.csv", write_folder(images, "two") / "full.csv")
        places[0].write_text("\n".join(["path", *images]))
        places[1].write_text("\n".join(["path,label", *(f"{name},0" for name in images)]))
    else:
        x = np.random.default_rng(0).integers(0, 256, (5, 6, 8), dtype=np.uint8)
        places = tmp_path / "bare.npz", tmp_path / "full.npz"
        np.savez(places[0], images=x)
        np.savez(places[1], images=x, labels=np.zeros(5, np.int64))
    bare, full = (open_data(place, preprocessing=RAW) for place in places)
    return bare, full


def test_the_inputs_are_those_of_the_labelled_data(both: tuple[Source, Source]) -> None:
    bare, full = both
    assert (bare.labels, bare.class_names, bare.findings) == (None, None, ())
    assert len(bare) == len(full) == 5
    assert torch.equal(inputs_of(bare), inputs_of(full))
    assert bare.fingerprint != full.fingerprint
    assert len(bare.thumbnails([1, 2])) == 2
    bare.check_outputs(10)


def test_wrappers_pass_on_that_there_are_none(both: tuple[Source, Source]) -> None:
    bare, full = both
    augmented = Augmented(bare, 0)
    assert augmented.labels is None
    assert torch.equal(inputs_of(augmented), inputs_of(Augmented(full, 0)))


def test_directory_and_zip_are_the_same_data(
    write_folder: Write, write_zip: Write, picture: Callable[..., bytes]
) -> None:
    images = {f"{seed}.png": picture(seed) for seed in range(3)}
    renamed = {"a" + name: content for name, content in images.items()}
    prints = [
        open_data(place, preprocessing=RAW).fingerprint
        for place in (write_folder(images), write_zip(images), write_zip(renamed, "renamed.zip"))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_what_is_skipped_is_told(write_folder: Write, picture: Callable[..., bytes]) -> None:
    source = open_data(write_folder({"1.png": picture(1), "notes.txt": b"", "more/notes.txt": b""}), preprocessing=RAW)
    assert len(source) == 1
    assert [finding.code for finding in source.findings] == ["files-skipped"]


def test_the_model_s_classes_may_be_named_and_must_be_as_many(
    write_folder: Write, picture: Callable[..., bytes]
) -> None:
    source = open_data(write_folder({"1.png": picture(1)}), preprocessing=RAW, classes=["cat", "dog"])
    assert source.class_names == ("cat", "dog")
    with pytest.raises(DataError, match="2 names but the model has 3 outputs"):
        source.check_outputs(3)


def test_a_class_map_has_nothing_to_rename(write_folder: Write, picture: Callable[..., bytes]) -> None:
    with pytest.raises(DataError, match=r"no labels that a class map could rename; leave"):
        open_data(write_folder({"1.png": picture(1)}), preprocessing=RAW, class_map={"cat": 0})


def test_one_folder_around_the_images_is_a_class_and_the_error_says_how_to_give_none(
    write_folder: Write, picture: Callable[..., bytes]
) -> None:
    source = open_data(write_folder({"target/1.png": picture(1)}), preprocessing=RAW)
    with pytest.raises(DataError, match=r"1 class folder but .*without labels lie in no folder"):
        source.check_outputs(3)


@pytest.mark.parametrize("text", ["note\na.png\n", "path,note\na.png,0\n", "path,path\na.png,b.png\n", "label\n0\n"])
def test_a_manifest_with_other_columns_is_refused(
    write_folder: Write, picture: Callable[..., bytes], text: str
) -> None:
    path = write_folder({"a.png": picture(0), "b.png": picture(1)}) / "images.csv"
    path.write_text(text)
    with pytest.raises(DataError, match="columns path,label, each once, or path alone"):
        open_data(path, preprocessing=RAW)


@pytest.mark.parametrize("names", [["y"], ["labels"], ["x", "weights"], ["x", "images"]])
def test_an_npz_with_other_arrays_is_refused(tmp_path: Path, names: list[str]) -> None:
    np.savez(tmp_path / "data.npz", **{name: np.zeros((3, 4, 4), np.uint8) for name in names})
    with pytest.raises(DataError, match="one array of inputs and one of labels"):
        open_data(tmp_path / "data.npz", preprocessing=RAW)


def test_an_npz_without_rows_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((0, 4, 4), np.uint8))
    with pytest.raises(DataError, match="give at least one row"):
        open_data(tmp_path / "data.npz", preprocessing=RAW)


def test_the_split_is_that_of_a_single_class() -> None:
    for n in (2, 9, 40):
        halves, of_one_class = split_unlabelled(n, 7), split(np.zeros(n, np.int64), 7)
        assert np.array_equal(halves.calibration, of_one_class.calibration)
        assert np.array_equal(halves.holdout, of_one_class.holdout)
        assert not halves.stratified
    with pytest.raises(DataError, match="hold 1 example"):
        split_unlabelled(1, 0)
