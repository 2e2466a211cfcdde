"""Torchvision's named sets, from tiny roots in torchvision's own formats."""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calibrate.data import open_data, prepare
from calibrate.errors import AfternormError, DataError, UsageError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

GREY = Preprocessing(channels=1, mean=(0.3,), std=(0.4,))
Write = Callable[..., Path]


def idx(values: np.ndarray) -> bytes:
    """The bytes of MNIST's own format: a type, the number of dimensions, their sizes, the values."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


@pytest.fixture
def digits(tmp_path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels of both halves of a tiny MNIST below ``tmp_path``."""
    random = np.random.default_rng(0)
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    made = {}
    for part, count in (("train", 5), ("t10k", 3)):
        made[part] = (random.integers(0, 256, (count, 28, 28), dtype=np.uint8), random.integers(0, 10, count))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(made[part][0]))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(made[part][1]))
    return made


@pytest.mark.parametrize(("option", "part"), [("", "t10k"), ("&train=false", "t10k"), ("&train=True", "train")])
def test_the_test_set_unless_told_otherwise(tmp_path: Path, digits: dict, option: str, part: str) -> None:
    text = f"torchvision:MNIST?root={tmp_path}{option}"
    source = open_data(text, preprocessing=GREY)
    images, labels = digits[part]
    assert source.name == text
    assert source.labels.tolist() == labels.tolist()
    assert torch.equal(inputs_of(source), torch.stack([prepare(Image.fromarray(image), GREY) for image in images]))
    assert source.class_names is not None
    assert len(source.class_names) == 10
    source.check_outputs(10)


def test_a_class_list_and_a_class_map(tmp_path: Path, digits: dict) -> None:
    text = f"torchvision:MNIST?root={tmp_path}"
    names = [f"digit {number}" for number in range(10)]
    assert open_data(text, preprocessing=GREY, classes=names).class_names == tuple(names)
    own = open_data(text, preprocessing=GREY).class_names
    assert own is not None
    mapped = open_data(text, preprocessing=GREY, class_map={name: 9 - index for index, name in enumerate(own)})
    assert mapped.labels.tolist() == (9 - digits["t10k"][1]).tolist()


def test_a_folder_set_gives_what_the_class_folders_give(write_folder: Write, pets: dict[str, bytes]) -> None:
    root = write_folder(pets)
    raw = Preprocessing()
    source, folders = (open_data(data, preprocessing=raw) for data in (f"torchvision:ImageFolder?root={root}", root))
    assert torch.equal(inputs_of(source), inputs_of(folders))
    assert source.class_names == folders.class_names
    assert source.labels.tolist() == folders.labels.tolist()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("MNIST", "says no root"),
        ("MNIST?train=true", "says no root"),
        ("MNIST?root={}/gone", "is not a directory"),
        ("FashionMNIST?root={}", "cannot be read from.*[Nn]othing is downloaded"),
        ("CIFAR10?root={}", "cannot be read from.*[Nn]othing is downloaded"),
        ("STL10?root={}", "cannot be read from.*[Nn]othing is downloaded"),
        ("SEMEION?root={}", "cannot be read from.*[Nn]othing is downloaded"),
        ("STL10?root={}&split=tset", "tset.*test"),
        ("EMNIST?root={}", "split"),
        ("MNIST?root={}&download=true", "option 'download'"),
        ("MNIST?root={}&transform=x", "option 'transform'; it takes root, train"),
        ("MNIST?root={}&train=1", "give true or false"),
        ("MINST?root={}", "names no set.*MNIST"),
        ("LSUN?root={}", "names no set"),
        ("datasets.MNIST?root={}", "names no set"),
    ],
)
def test_mistakes_are_explained_and_nothing_is_fetched(tmp_path: Path, digits: dict, query: str, said: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((DataError, UsageError), match=f"(?s){said}"):
        open_data("torchvision:" + query.format(tmp_path), preprocessing=GREY)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_file_is_named(tmp_path: Path, digits: dict, write_folder: Write, pets: dict[str, bytes]) -> None:
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="MNIST cannot be read from"):
        open_data(f"torchvision:MNIST?root={tmp_path}", preprocessing=GREY)
    bomb = BytesIO()
    Image.new("1", (14000, 14000)).save(bomb, "PNG")
    for number, content in enumerate((b"hello", bomb.getvalue())):
        root = write_folder(pets | {"ant/a.png": content}, f"bad{number}")
        with pytest.raises(AfternormError, match="example 0 of torchvision:ImageFolder"):
            open_data(f"torchvision:ImageFolder?root={root}", preprocessing=Preprocessing())
