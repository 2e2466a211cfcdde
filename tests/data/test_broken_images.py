"""Broken images: left out where so many may be, named, and as if they had never been there."""

import errno
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from calibrate.data import open_data, split
from calibrate.errors import DataError, UnsafeInputError, UsageError
from calibrate.recipe import Preprocessing
from tests.builders.hostile_data import tar_bytes
from tests.builders.sources import inputs_of

RAW = Preprocessing()
Write = Callable[..., Path]
BROKEN = {"cat/0.png": b"", "dog/ab.png": b"no image", "dog/zz.png": None}


@pytest.fixture
def damaged(pets: dict[str, bytes]) -> dict[str, bytes]:
    """The pets, and three images that cannot be read: empty, text, and cut in half."""
    whole = pets["cat/1.png"]
    return pets | {name: whole[: len(whole) // 2] if content is None else content for name, content in BROKEN.items()}


@pytest.fixture(params=["zip", "directory", "tar"])
def write(request: pytest.FixtureRequest, write_zip: Write, write_folder: Write, tmp_path: Path) -> Write:
    def write_tar(contents: dict[str, bytes], name: str = "data.tar") -> Path:
        (tmp_path / f"{name}.tar").write_bytes(tar_bytes(contents))
        return tmp_path / f"{name}.tar"

    return {"zip": write_zip, "directory": write_folder, "tar": write_tar}[request.param]


def test_what_is_left_is_what_it_is_without_them(
    write: Write, damaged: dict[str, bytes], pets: dict[str, bytes]
) -> None:
    clean = open_data(write(pets, "clean.zip"), preprocessing=RAW)
    data = write(damaged)
    for most in (3, 10):
        source = open_data(data, preprocessing=RAW, skip_broken=most)
        assert torch.equal(inputs_of(source), inputs_of(clean))
        assert source.labels.tolist() == clean.labels.tolist()
        assert source.fingerprint == clean.fingerprint
        halves, wanted = (split(item.labels, 3) for item in (source, clean))
        assert halves.calibration.tolist() == wanted.calibration.tolist()
        (finding,) = source.findings
        assert finding.code == "images-skipped"
        assert finding.message.startswith("3 of 10 images")
        assert "7 are left" in finding.message
        assert all(repr(name) in finding.message for name in BROKEN)


def test_more_than_that_are_refused_with_their_number(write: Write, damaged: dict[str, bytes]) -> None:
    data = write(damaged)
    with pytest.raises(DataError, match=r"3 of 10 images .* at most 2 may be left out: 'cat/0.png'.*--skip-broken"):
        open_data(data, preprocessing=RAW, skip_broken=2)
    with pytest.raises(DataError, match="cannot be read as an image"):
        inputs_of(open_data(data, preprocessing=RAW))


def test_nothing_is_said_where_nothing_is_broken(write: Write, pets: dict[str, bytes]) -> None:
    source = open_data(write(pets), preprocessing=RAW, skip_broken=5)
    assert (len(source), source.findings) == (7, ())


def test_a_class_of_broken_images_keeps_its_index(write: Write, pets: dict[str, bytes]) -> None:
    source = open_data(write(pets | {"bee/1.png": b""}), preprocessing=RAW, skip_broken=1)
    assert source.class_names == ("ant", "bee", "cat", "dog")
    assert sorted({*source.labels.tolist()}) == [0, 2, 3]


def test_a_bomb_is_not_left_out(write: Write, pets: dict[str, bytes]) -> None:
    stream = BytesIO()
    Image.new("1", (11000, 11000)).save(stream, "PNG")
    with pytest.raises(UnsafeInputError, match="bomb"):
        open_data(write(pets | {"cat/bomb.png": stream.getvalue()}), preprocessing=RAW, skip_broken=9)


def test_all_broken(write: Write) -> None:
    with pytest.raises(DataError, match="none of the 2 images"):
        open_data(write({"cat/1.png": b"", "dog/2.png": b""}), preprocessing=RAW, skip_broken=9)


def test_a_manifest(write_folder: Write, damaged: dict[str, bytes]) -> None:
    root = write_folder(damaged)
    (root / "list.csv").write_text("path,label\n" + "".join(f"{name},{name[0]}\n" for name in damaged))
    source = open_data(root / "list.csv", preprocessing=RAW, skip_broken=3, class_map={"a": 0, "c": 1, "d": 2})
    assert source.labels.tolist() == [2, 2, 1, 1, 1, 0, 0]
    assert len(inputs_of(source)) == 7


def test_a_file_that_is_missing_is_as_one_that_is_broken(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    names = [*pets, "bee/gone.png", "ant"]  # the last is a folder
    (root / "list.csv").write_text("path,label\n" + "".join(f"{name},{name[0]}\n" for name in names))
    source = open_data(root / "list.csv", preprocessing=RAW, skip_broken=2)
    assert source.class_names == ("a", "b", "c", "d")
    assert len(inputs_of(source)) == len(pets)
    assert "'bee/gone.png', 'ant'" in source.findings[0].message
    for most in (0, 1):
        with pytest.raises(DataError, match=r"'bee/gone.png'"):
            open_data(root / "list.csv", preprocessing=RAW, skip_broken=most)


class Lazy:
    """A data set that decodes when it is asked, as torchvision's do."""

    def __init__(self, contents: list[bytes]) -> None:
        self.contents = contents

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return Image.open(BytesIO(self.contents[index])).convert("RGB"), index


class Streamed:
    """The same, to be iterated, and decoded by who takes them."""

    def __init__(self, contents: list[bytes]) -> None:
        self.contents = contents

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        for index, content in enumerate(self.contents):
            yield Image.open(BytesIO(content)), index


@pytest.mark.parametrize("kind", [Lazy, Streamed])
def test_examples_of_python_code(kind: Any, picture: Callable[..., bytes]) -> None:
    contents = [picture(seed) for seed in range(5)]
    whole = open_data(kind([*contents]), preprocessing=RAW)
    contents[2] = contents[2][: len(contents[2]) // 2]
    source = open_data(kind(contents), preprocessing=RAW, skip_broken=1)
    assert source.labels.tolist() == [0, 1, 3, 4]
    assert torch.equal(inputs_of(source), inputs_of(whole)[[0, 1, 3, 4]])
    (batch,) = source.batches(np.array([1, 3]), 2)
    assert torch.equal(batch.inputs, inputs_of(whole)[[1, 4]])
    assert "element 2" in source.findings[0].message
    with pytest.raises((DataError, OSError)):
        open_data(kind(contents), preprocessing=RAW)


class Batched(Streamed):
    """The same in batches of four."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        examples = list(super().__iter__())
        for start in range(0, len(examples), 4):
            images, labels = zip(*examples[start : start + 4], strict=True)
            yield images, torch.tensor(labels)


class BatchedByIndex:
    """The same, read by index."""

    def __init__(self, contents: list[bytes]) -> None:
        self._batches = list(Batched(contents))

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._batches[index]


@pytest.mark.parametrize("kind", [Batched, BatchedByIndex])
def test_one_broken_image_does_not_take_its_batch_with_it(kind: Any, picture: Callable[..., bytes]) -> None:
    contents = [picture(seed) for seed in range(12)]
    whole = inputs_of(open_data(kind([*contents]), preprocessing=RAW))
    contents[6] = contents[6][: len(contents[6]) // 2]
    source = open_data(kind(contents), preprocessing=RAW, skip_broken=1)
    left = [number for number in range(12) if number != 6]
    assert source.labels.tolist() == left
    assert torch.equal(inputs_of(source), whole[left])
    assert source.findings[0].message.startswith("1 of 12 images")
    assert "example 2 of element 1." in source.findings[0].message
    contents[7] = contents[6]
    with pytest.raises(DataError, match=r"2 of 12 images .* at most 1"):
        open_data(kind(contents), preprocessing=RAW, skip_broken=1)
    with pytest.raises(DataError, match=r"example 2 of element 1 of \w+ has an image"):
        open_data(kind(contents), preprocessing=RAW)


def test_a_loader_that_raises_is_told_apart_from_a_broken_image(picture: Callable[..., bytes]) -> None:
    contents = [picture(seed) for seed in range(4)]
    contents[2] = b"no image"
    loader = DataLoader(Lazy(contents), batch_size=None)
    with pytest.raises(
        DataError, match=r"\(DataLoader\) raised UnidentifiedImageError .*Pass the data set itself"
    ) as caught:
        open_data(loader, preprocessing=RAW, skip_broken=3)
    assert isinstance(caught.value.__cause__, OSError)
    assert len(open_data(Lazy(contents), preprocessing=RAW, skip_broken=3)) == 3


class OnALostDisk(Lazy):
    """A data set whose files the system cannot read, at once or when an image is decoded."""

    late = False

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if index != 1:
            return super().__getitem__(index)
        if not self.late:
            raise OSError(errno.EIO, "Input/output error")
        return Image.open(LostFile(self.contents[index])), index


class OnALateLostDisk(OnALostDisk):
    """One that is lost after the images' headers were read."""

    late = True


class LostFile(BytesIO):
    """A file of which only the beginning can be read."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 40:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("kind", [OnALostDisk, OnALateLostDisk])
def test_a_disk_that_cannot_be_read_is_no_broken_image(kind: Any, picture: Callable[..., bytes]) -> None:
    contents = [picture(seed) for seed in range(3)]
    with pytest.raises((OSError, DataError), match="Input/output error"):
        open_data(kind(contents), preprocessing=RAW, skip_broken=3)


@pytest.mark.parametrize("most", [-1, 1.5, True, "2"])
def test_a_number_is_wanted(most: Any) -> None:
    with pytest.raises(UsageError, match="skip_broken"):
        open_data([(torch.zeros(3), 0)], preprocessing=None, skip_broken=most)
