"""Class folders: the same examples from a directory and its zip, and errors that name the file."""

import threading
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calibrate.data import Source, open_data, prepare
from calibrate.errors import DataError, UnsafeInputError, UsageError
from calibrate.recipe import Preprocessing

RAW = Preprocessing()
Write = Callable[..., Path]


def whole(source: Source, batch_size: int = 3) -> tuple[torch.Tensor, list[int], list[int]]:
    batches = list(source.batches(np.arange(len(source)), batch_size))
    inputs = torch.cat([batch.inputs for batch in batches])
    return (
        inputs,
        source.labels.tolist(),
        np.concatenate([batch.indices for batch in batches]).tolist(),
    )


@pytest.fixture(params=["zip", "directory"])
def write(request: pytest.FixtureRequest, write_zip: Write, write_folder: Write) -> Write:
    """Write contents to a zip or a directory: what holds for one holds for the other."""
    return write_zip if request.param == "zip" else write_folder


def test_examples_are_the_files_in_order_of_folder_and_name(write: Write, pets: dict[str, bytes]) -> None:
    source = open_data(write(pets), preprocessing=RAW)
    ordered = ["ant/x.png", "ant/y.png", "cat/1.png", "cat/2.PNG", "cat/3.png", "dog/a.png", "dog/b.png"]
    inputs, labels, indices = whole(source)
    assert torch.equal(
        inputs, torch.stack([prepare(Image.open(BytesIO(pets[name])).convert("RGB"), RAW) for name in ordered])
    )
    assert labels == source.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert indices == list(range(7))
    assert source.class_names == ("ant", "cat", "dog")
    assert not source.listed
    assert source.findings == ()


def test_directory_and_zip_are_the_same_data(write_zip: Write, write_folder: Write, pets: dict[str, bytes]) -> None:
    sources = [
        open_data(write_folder(pets), preprocessing=RAW),
        open_data(write_zip(pets), preprocessing=RAW),
        open_data(write_zip(dict(reversed(pets.items())), "stored.zip", zipfile.ZIP_STORED), preprocessing=RAW),
        open_data(write_zip({f"val/{name}": pets[name] for name in pets}, "top.zip"), preprocessing=RAW),
        open_data(write_folder({f"val/{name}": pets[name] for name in pets}, "top"), preprocessing=RAW),
    ]
    inputs, labels, _ = whole(sources[0])
    for source in sources[1:]:
        other_inputs, other_labels, _ = whole(source)
        assert torch.equal(inputs, other_inputs)
        assert labels == other_labels
    assert len({source.fingerprint for source in sources}) == 1


def test_fingerprint_tells_other_contents_names_and_labels_apart(write_zip: Write, pets: dict[str, bytes]) -> None:
    changed = {
        "same": pets,
        "contents": pets | {"dog/a.png": pets["cat/1.png"]},
        "name": {name.replace("a.png", "c.png"): content for name, content in pets.items()},
        "fewer": {name: content for name, content in pets.items() if name != "dog/a.png"},
    }
    prints = {
        key: open_data(write_zip(contents, f"{key}.zip"), preprocessing=RAW).fingerprint
        for key, contents in changed.items()
    }
    listed = open_data(write_zip(pets), preprocessing=RAW, classes=["dog", "cat", "ant"])
    assert len({*prints.values(), listed.fingerprint}) == 5


def test_two_passes_and_any_batch_size_give_the_same(write: Write, pets: dict[str, bytes]) -> None:
    source = open_data(write(pets), preprocessing=RAW)
    passes = [whole(source, batch_size) for batch_size in (1, 3, 7, 100, 3)]
    assert all(torch.equal(inputs, passes[0][0]) for inputs, _, _ in passes)
    assert all(rest == passes[0][1:] for rest in [item[1:] for item in passes])


def test_class_list_gives_the_indices(write: Write, pets: dict[str, bytes]) -> None:
    source = open_data(write(pets), preprocessing=RAW, classes=["dog", "bee", "cat", "ant"])
    assert source.labels.tolist() == [3, 3, 2, 2, 2, 0, 0]
    assert source.listed
    assert source.class_names == ("dog", "bee", "cat", "ant")
    source.check_outputs(4)


def test_folder_outside_the_class_list_is_named_with_the_nearest(write: Write, pets: dict[str, bytes]) -> None:
    with pytest.raises(DataError, match=r"'dog'.*nearest of its 3 names is 'dogs'"):
        open_data(write(pets), preprocessing=RAW, classes=["ant", "cat", "dogs"])


@pytest.mark.parametrize(("classes", "message"), [([], "empty"), (["ant", "ant"], "twice"), (["a", ""], "line 2")])
def test_broken_class_list(write: Write, pets: dict[str, bytes], classes: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_data(write(pets), preprocessing=RAW, classes=classes)


def test_skipped_files_are_counted_and_the_first_is_named(write: Write, pets: dict[str, bytes]) -> None:
    extra = {"__MACOSX/cat/._1.png": b"", "cat/.hidden.png": b"", "cat/notes.txt": b"", "README": b""}
    plain = open_data(write(pets, "plain.zip"), preprocessing=RAW)
    source = open_data(write(pets | extra), preprocessing=RAW)
    (finding,) = source.findings
    assert (finding.code, finding.severity) == ("files-skipped", "info")
    assert "4 entries" in finding.message
    assert "'README'" in finding.message
    assert (source.labels.tolist(), source.fingerprint) == (plain.labels.tolist(), plain.fingerprint)


@pytest.mark.parametrize("extra", ["bee/", "bee/notes.txt"])
def test_a_folder_without_images_keeps_its_class_index(write: Write, pets: dict[str, bytes], extra: str) -> None:
    for top in ("", "val/"):
        contents = {f"{top}{name}": content for name, content in (pets | {extra: b""}).items()}
        source = open_data(write(contents, f"data{len(top)}.zip"), preprocessing=RAW)
        assert source.class_names == ("ant", "bee", "cat", "dog")
        assert source.labels.tolist() == [0, 0, 2, 2, 2, 3, 3]
        assert source.findings[-1].code == "folders-empty"
        assert "'bee'" in source.findings[-1].message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat/a.png", "b.png"], "'b.png'.*lies in no class folder"),
        (["one/cat/a.png", "two/cat/a.png"], "'(one|two)/cat/a.png'.*not lie directly in a class folder"),
        (["cat/a.png", "cat/deep/b.png"], "'cat/deep/b.png'.*not lie directly in a class folder"),
        (["x/y/cat/a.png"], "'x/y/cat/a.png'.*not lie directly in a class folder"),
        (["cat/a.txt", "b.csv"], r"no images \(2 other files were skipped\)"),
        ([], "holds no images"),
    ],
)
def test_other_layouts_are_refused_with_the_expected_one(
    write: Write, picture: Callable[..., bytes], names: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=f"(?s){message}.*Wanted: one folder for each class"):
        open_data(write({name: picture(0) for name in names}), preprocessing=RAW)


def test_images_need_a_preprocessing(write: Write, pets: dict[str, bytes]) -> None:
    with pytest.raises(DataError, match=r"--preprocessing"):
        open_data(write(pets), preprocessing=None)


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "header only", "postscript", "another format"])
@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_an_unreadable_image_is_named(
    write: Write, picture: Callable[..., bytes], damage: str, image_format: str
) -> None:
    good = picture(0, (64, 64), image_format)
    content = {
        "another format": picture(0, (8, 6), "PCX"),
        "truncated": good[: len(good) // 2],
        "text": b"not an image",
        "empty": b"",
        "header only": good[:30],
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    }[damage]
    source = open_data(write({"cat/a.png": good, "cat/b.png": content}), preprocessing=RAW)
    with pytest.raises(DataError, match=r"'cat/b.png'.*cannot be read as an image"):
        whole(source)


@pytest.mark.parametrize("side", [9000, 11000, 14000])
def test_a_pixel_bomb_is_refused(write: Write, side: int) -> None:
    stream = BytesIO()
    Image.new("1", (side, side)).save(stream, "PNG")
    source = open_data(write({"cat/bomb.png": stream.getvalue()}), preprocessing=RAW)
    with pytest.raises(UnsafeInputError, match=r"'cat/bomb.png'"):
        whole(source)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_pixel_bomb_is_refused_where_warnings_are_ignored(write: Write) -> None:
    stream = BytesIO()
    Image.new("1", (11000, 11000)).save(stream, "PNG")
    source = open_data(write({"cat/bomb.png": stream.getvalue()}), preprocessing=RAW)
    with pytest.raises(UnsafeInputError, match=r"11000 × 11000"):
        whole(source)


def test_images_of_two_sizes_need_a_crop(write: Write, picture: Callable[..., bytes]) -> None:
    contents = {"cat/a.png": picture(0, (8, 6)), "cat/b.png": picture(1, (9, 6))}
    with pytest.raises(DataError, match=r"'cat/b.png'.*\(3, 6, 9\).*'cat/a.png'.*\(3, 6, 8\); set crop") as caught:
        whole(open_data(write(contents, "sizes.zip"), preprocessing=RAW))
    assert caught.tb is not None  # its frames are alive, so the pass itself must have ended its threads
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("load")]
    inputs, _, _ = whole(open_data(write(contents), preprocessing=Preprocessing(crop=6)))
    assert inputs.shape == (2, 3, 6, 6)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM"])
def test_formats(write: Write, picture: Callable[..., bytes], image_format: str) -> None:
    content = picture(0, (8, 6), image_format)
    inputs, _, _ = whole(open_data(write({"cat/a.JPG": content}), preprocessing=RAW))
    assert torch.equal(inputs[0], prepare(Image.open(BytesIO(content)).convert("RGB"), RAW))
