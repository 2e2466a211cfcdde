"""Examples from Python: however they are packed, they are the same examples."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from calibrate.data import open_data, prepare
from calibrate.errors import DataError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

random = np.random.default_rng(0)
X = torch.from_numpy(random.standard_normal((7, 3, 4, 2)).astype(np.float32))
Y = torch.tensor([1, 0, 2, 2, 1, 0, 3])
PIXELS = random.integers(0, 256, (7, 6, 8, 3), dtype=np.uint8)
PREPROCESSING = Preprocessing(resize=5, crop=4)


class MapStyle(Dataset[Any]):
    """A map-style dataset that never raises IndexError and records what was read."""

    def __init__(self, x: Any = X, y: Any = Y) -> None:
        self.x, self.y = x, y
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self.read.append(index)
        return self.x[index % len(self.x)], self.y[index % len(self.x)]


class EachPass:
    """Yields what ``passes`` says for each pass, the last one ever after."""

    def __init__(self, *passes: Any) -> None:
        self.passes = list(passes)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.passes.pop(0) if len(self.passes) > 1 else self.passes[0])


def pairs(x: Any = X, y: Any = Y) -> list[Any]:
    return list(zip(x, y, strict=True))


PACKINGS: dict[str, Callable[[], Any]] = {
    "tensors": pairs,
    "arrays": lambda: pairs(X.numpy(), Y.numpy()),
    "Fortran arrays": lambda: pairs([np.asfortranarray(x.numpy()) for x in X], Y.tolist()),
    "reversed views": lambda: pairs([x.numpy()[::-1].copy()[::-1] for x in X], Y.tolist()),
    "double": lambda: pairs(X.double(), Y.tolist()),
    "lists": lambda: [list(pair) for pair in pairs()],
    "batches": lambda: [(X[:4], Y[:4]), (X[4:], Y[4:].int())],
    "list batches": lambda: [(list(X[:4]), Y[:4].tolist()), (list(X[4:]), Y[4:].numpy())],
    "loader of 1": lambda: DataLoader(TensorDataset(X, Y)),
    "loader of 3": lambda: DataLoader(TensorDataset(X, Y), batch_size=3),
    "dataset": lambda: TensorDataset(X, Y),
    "map style": MapStyle,
    "map style of batches": lambda: MapStyle([X[:4], X[4:]], [Y[:4], Y[4:]]),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_the_packing_changes_nothing(packing: str) -> None:
    source = open_data(PACKINGS[packing](), preprocessing=None)
    assert source.labels.tolist() == Y.tolist()
    assert source.labels.dtype == np.int64
    for chosen in (None, [0], [6], [1, 2, 5], [5, 1]):
        wanted = X if chosen is None else X[sorted(chosen)]
        assert torch.equal(inputs_of(source, chosen), wanted)
    assert source.fingerprint == open_data(pairs(), preprocessing=None).fingerprint
    assert list(source.batches(np.arange(0), 2)) == []


IMAGES: dict[str, Callable[[], Any]] = {
    "PIL": lambda: pairs([Image.fromarray(image) for image in PIXELS]),
    "arrays": lambda: pairs(PIXELS),
    "tensors": lambda: pairs(torch.from_numpy(PIXELS)),
    "channels first": lambda: pairs(torch.from_numpy(PIXELS).movedim(3, 1)),
    "batches": lambda: DataLoader(TensorDataset(torch.from_numpy(PIXELS), Y), batch_size=4),
}


@pytest.mark.parametrize("packing", IMAGES)
def test_images_are_prepared(packing: str) -> None:
    source = open_data(IMAGES[packing](), preprocessing=PREPROCESSING)
    wanted = torch.stack([prepare(Image.fromarray(image), PREPROCESSING) for image in PIXELS])
    assert torch.equal(inputs_of(source), wanted)
    assert torch.equal(inputs_of(source, [1, 6]), wanted[[1, 6]])
    assert source.preprocessing == PREPROCESSING
    assert source.fingerprint == open_data(IMAGES["PIL"](), preprocessing=Preprocessing()).fingerprint
    with pytest.raises(DataError, match=r"--preprocessing"):
        open_data(IMAGES[packing](), preprocessing=None)


def test_grey_batches_have_no_channels() -> None:
    loader = DataLoader(TensorDataset(torch.from_numpy(PIXELS[..., 0].copy()), Y), batch_size=4)
    source = open_data(loader, preprocessing=PREPROCESSING)
    wanted = torch.stack([prepare(Image.fromarray(image[..., 0].copy()), PREPROCESSING) for image in PIXELS])
    assert torch.equal(inputs_of(source), wanted)


def test_fingerprint_follows_values_labels_shape_and_palette() -> None:
    image = Image.fromarray(PIXELS[0]).quantize(8)
    recoloured = image.copy()
    recoloured.putpalette(list(range(24)))
    data: list[Any] = [
        pairs(),
        pairs(-X),
        pairs(X.reshape(7, 24)),
        pairs(X, Y.flip(0)),
        pairs()[::-1],
        [(image, 0)],
        [(recoloured, 0)],
    ]
    assert len({open_data(item, preprocessing=PREPROCESSING).fingerprint for item in data}) == len(data)


def test_a_map_style_dataset_is_read_only_where_wanted() -> None:
    dataset: Any = MapStyle()
    source = open_data(dataset, preprocessing=None)
    assert dataset.read == list(range(7))
    dataset.read.clear()
    inputs_of(source, [2, 5])
    assert dataset.read == [2, 5]


def test_the_examples_given_are_not_changed() -> None:
    before = X.clone()
    for batch in open_data(pairs(), preprocessing=None).batches(np.arange(7), 1):
        batch.inputs.zero_()
    assert torch.equal(X, before)


@pytest.mark.parametrize(
    "make", [lambda: iter(pairs()), lambda: (pair for pair in pairs()), lambda: zip(X, Y, strict=True)]
)
def test_one_shot_iterators_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(DataError, match=r"iterated once only"):
        open_data(make(), preprocessing=None)


def test_a_shuffling_loader_is_found_out() -> None:
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(TensorDataset(X, Y), batch_size=2, shuffle=True, generator=generator)
    source = open_data(loader, preprocessing=None)
    with pytest.raises(DataError, match=r"turn shuffle off"):
        inputs_of(source)


def test_unwanted_examples_are_compared_too() -> None:
    source = open_data(EachPass(pairs(), pairs(X, torch.tensor([0, 0, 2, 2, 1, 0, 3]))), preprocessing=None)
    with pytest.raises(DataError, match=r"example 0 of EachPass had the label 1.*has 0 now"):
        inputs_of(source, [3])


@pytest.mark.parametrize("later", [[], pairs()[:4]])
def test_a_shorter_pass_is_found_out(later: list[Any]) -> None:
    source = open_data(EachPass(pairs(), later), preprocessing=None)
    with pytest.raises(DataError, match=r"7 examples in the first pass and fewer now"):
        inputs_of(source)


def test_a_pass_of_another_kind_is_found_out() -> None:
    source = open_data(EachPass(pairs(), pairs(PIXELS)), preprocessing=PREPROCESSING)
    with pytest.raises(DataError, match=r"example 0 of EachPass was an image in one pass"):
        inputs_of(source)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "which cannot be iterated"),
        (None, "NoneType, which cannot be iterated"),
        ([], "yield no examples"),
        ([X[0]], "element 0 of list is Tensor.*not a pair"),
        ([{"picture": X[0], "label": 1}], "element 0 of list is a mapping with the keys 'picture', 'label'.*keys="),
        ([(X[0], 1, 2)], "not a pair"),
        ({"a": X, "b": Y}, "dict with the keys 'a', 'b', which are no parts"),
        ([(X[0], 1), (X[0], 1.0)], "element 1 of list has the label 1.0"),
        ([(X[0], torch.tensor(1.0))], "has the label Tensor torch.float32"),
        ([(X[0], "cat")], "has the label 'cat'"),
        ([(X[0], None)], "has the label None"),
        ([(X[0], True)], "has the label True"),
        ([(X[0], 2**70)], "has the label"),
        ([(X[0], -1)], "hold -1"),
        ([(X, torch.eye(7, dtype=torch.int64))], "has the label Tensor torch.int64 of shape"),
        ([(X, [[1], [1, 2]])], "has the label"),
        ([(X, Y[:3])], "3 labels for an input of Tensor"),
        ([(X[0, 0, 0, 0], Y[:3])], "3 labels for an input of Tensor"),
        ([(Image.fromarray(PIXELS[0]), Y[:3])], "3 labels for an input of"),
        ([("a.png", 1)], "'a.png' as its input"),
        ([(X[0].long(), 1)], "Tensor torch.int64 of shape"),
        ([(X[0, 0, 0, 0], 1)], "as its input"),
        ([(np.zeros((3, 8, 8), np.uint8), 1)], r"ndarray uint8 of shape \(3, 8, 8\) as its input"),
        ([(np.zeros((0, 8, 3), np.uint8), 1)], "as its input"),
        ([(X[0], 1), (PIXELS[0], 1)], "example 1 of list changes from images"),
    ],
)
def test_what_are_no_examples(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_data(data, preprocessing=PREPROCESSING)


def test_a_truncated_image_is_named(tmp_path: Any, picture: Callable[..., bytes]) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(0, (64, 64), "JPEG")[:1500])
    with Image.open(tmp_path / "a.jpg") as image, pytest.raises(DataError, match=r"element 1 of list has an image"):
        open_data([(PIXELS[0], 0), (image, 1)], preprocessing=PREPROCESSING)


def test_shapes_must_agree() -> None:
    source = open_data([(X[0], 0), (X[0], 0), (X[0, :, 1:], 0)], preprocessing=None)
    with pytest.raises(DataError, match=r"example 2 of list has the shape \(3, 3, 2\) but example 0 of list.*the same"):
        inputs_of(source)


def test_preprocessing_of_floats_is_not_applied_and_that_is_said() -> None:
    source = open_data(pairs(), preprocessing=PREPROCESSING)
    assert torch.equal(inputs_of(source), X)
    assert source.preprocessing is None
    assert [finding.code for finding in source.findings] == ["preprocessing-unused"]
