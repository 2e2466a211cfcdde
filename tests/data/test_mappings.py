"""Examples and batches that are mappings: the same examples as their pairs."""

from collections import UserDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from calibrate.data import open_data
from calibrate.errors import DataError, UsageError
from calibrate.recipe import Preprocessing
from calibrate.stats import reestimate
from tests.builders.sources import inputs_of

X = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 3, 4, 4)).astype(np.float32))
Y = torch.tensor([0, 2, 1, 1, 0, 2])


class Rows:
    """A Hugging Face-like data set: mappings by index."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


def rows(x: str, y: str) -> list[dict[str, Any]]:
    return [{x: image, y: label, "id": f"{number}"} for number, (image, label) in enumerate(zip(X, Y, strict=True))]


FORMS: dict[str, Callable[[], Any]] = {
    "list": lambda: rows("x", "y"),
    "items": lambda: Rows(rows("image", "label")),
    "batches": lambda: [{"pixel_values": X[:4], "labels": Y[:4]}, {"pixel_values": X[4:], "labels": Y[4:]}],
    "columns": lambda: [{"image": X, "label": Y[:, None]}],
    "loader": lambda: DataLoader(Rows(rows("inputs", "target")), batch_size=4),
    "arrays": lambda: [{"img": X.numpy(), "targets": Y.numpy()}],
    "user dict": lambda: [UserDict(pixel_values=X, labels=Y)],
}


@pytest.mark.parametrize("form", FORMS)
def test_mappings_are_their_pairs(form: str) -> None:
    pairs = open_data(list(zip(X, Y, strict=True)), preprocessing=None)
    source = open_data(FORMS[form](), preprocessing=None)
    assert source.labels.tolist() == Y.tolist()
    assert torch.equal(inputs_of(source), X)
    assert source.fingerprint == pairs.fingerprint


def test_keys_of_other_names_are_given() -> None:
    data = rows("coarse", "fine")
    with pytest.raises(DataError, match=r"element 0 of list .*keys 'coarse', 'fine', 'id'.*keys=\('image', 'label'\)"):
        open_data(data, preprocessing=None)
    assert open_data(data, preprocessing=None, keys=("coarse", "fine")).labels.tolist() == Y.tolist()
    with pytest.raises(DataError, match=r"'id'.*none of them is 'other'"):
        open_data(data, preprocessing=None, keys=("coarse", "other"))
    two = [{"x": image, "image": image, "y": label} for image, label in zip(X, Y, strict=True)]
    with pytest.raises(DataError, match="'image' and 'x' may be the input"):
        open_data(two, preprocessing=None)
    assert len(open_data(two, preprocessing=None, keys=("x", "y"))) == 6
    with pytest.raises(DataError, match="leave them out"):
        open_data([(X[0], 0)], preprocessing=None, keys=("x", "y"))
    with pytest.raises(UsageError, match="keys"):
        open_data("data.npz", preprocessing=None, keys=("x", "y"))


@pytest.mark.parametrize("keys", [("x",), ("x", "y", "z"), "xy", (["x"], "y"), ("x", None), (0, 1), {"x", "y"}, ()])
def test_keys_that_are_no_two_names_are_refused(keys: Any) -> None:
    for given in ({}, {"class_map": {"0": 0}}):
        with pytest.raises(UsageError, match=r"keys are .*such as \('image', 'label'\)"):
            open_data(rows("x", "y"), preprocessing=None, keys=keys, **given)
    assert open_data(rows("x", "y"), preprocessing=None, keys=["x", "y"]).labels.tolist() == Y.tolist()


def test_images_with_a_label_in_a_list() -> None:
    """As MedMNIST's data sets have them."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    data = [(Image.fromarray(image), np.array([label])) for label, image in enumerate(pixels)]
    source = open_data(data, preprocessing=Preprocessing())
    assert source.labels.tolist() == [0, 1, 2]


def test_statistics_of_mappings_are_those_of_their_inputs() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten())
    wanted = reestimate(network, [X[:4], X[4:]])[0]
    for key in ("pixel_values", "x", "image"):
        found = reestimate(network, [{key: X[:4], "labels": Y[:4]}, {key: X[4:], "labels": Y[4:]}])[0]
        assert torch.equal(found.running_mean, wanted.running_mean)
        assert torch.equal(found.running_var, wanted.running_var)
    with pytest.raises(DataError, match="the keys 'picture'"):
        reestimate(network, [{"picture": X}])
