"""Arrays in .npz files: streamed by row, never unpickled."""

import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy
from PIL import Image

from calibrate.data import Source, open_data, prepare
from calibrate.errors import DataError, UnsafeInputError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

random = np.random.default_rng(0)
LABELS = np.array([2, 0, 1, 1, 5])
FLOATS = random.standard_normal((5, 3, 4, 2))
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save arrays by name to an .npz file."""

    def write(compressed: bool = True, **arrays: Any) -> Path:
        path = tmp_path / "data.npz"
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return path

    return write


def opened(path: Path, preprocessing: Preprocessing | None = None) -> Source:
    return open_data(path, preprocessing=preprocessing)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("shape", [(24,), (3, 8), (3, 4, 2)])
def test_floats_are_taken_as_they_are(save: Save, dtype: str, compressed: bool, shape: tuple[int, ...]) -> None:
    x = FLOATS.reshape(5, *shape).astype(dtype)
    source = opened(save(x=x, y=LABELS, compressed=compressed))
    np.testing.assert_array_equal(inputs_of(source).numpy(), x.astype(np.float32))
    assert inputs_of(source).dtype == torch.float32
    assert source.labels.tolist() == LABELS.tolist()
    assert source.preprocessing is None
    assert source.class_names is None


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 1), (6, 8, 3), (6, 8, 4)])
@pytest.mark.parametrize(
    "preprocessing", [Preprocessing(resize=5, crop=4), Preprocessing(channels=1, mean=(0.5,), std=(2,))]
)
def test_bytes_are_images(save: Save, shape: tuple[int, ...], preprocessing: Preprocessing) -> None:
    x = random.integers(0, 256, (5, *shape), dtype=np.uint8)
    source = opened(save(images=x, labels=LABELS), preprocessing)
    images = [Image.fromarray(image.reshape(shape[:2]) if shape[2:] == (1,) else image) for image in x]
    assert torch.equal(inputs_of(source), torch.stack([prepare(image, preprocessing) for image in images]))
    assert source.preprocessing == preprocessing
    with pytest.raises(DataError, match="--preprocessing"):
        opened(save(images=x, labels=LABELS))


NAMES = [
    "x y",
    "images labels",
    "data target",
    "X Y",
    "X y",
    "image label",
    "images targets",
    "data labels",
    "x labels",
]


@pytest.mark.parametrize("names", [*NAMES, "Images LABELS", "inputs y", "img target"])
def test_names(save: Save, names: str) -> None:
    inputs, labels = names.split()
    source = opened(save(**{inputs: FLOATS, labels: LABELS}))
    assert source.labels.tolist() == LABELS.tolist()
    assert torch.equal(inputs_of(source), torch.from_numpy(FLOATS.astype(np.float32)))
    assert source.findings == ()


@pytest.mark.parametrize("name", ["x", "X", "images", "data"])
def test_inputs_alone_have_no_labels(save: Save, name: str) -> None:
    source = opened(save(**{name: FLOATS}))
    assert (len(source), source.labels) == (5, None)
    for other in ("test", "z", "train", "y_"):
        with pytest.raises(DataError, match=f"it holds .*'{other}'"):
            opened(save(**{name: FLOATS, other: FLOATS}))


@pytest.mark.parametrize("names", [("a", "b"), ("x", "z"), ("x", "X"), ("y", "labels"), ("test", "x")])
def test_other_names_are_listed(save: Save, names: tuple[str, str]) -> None:
    first, second = sorted(names)
    with pytest.raises(DataError, match=f"it holds '{first}', '{second}'"):
        opened(save(**{names[0]: FLOATS, names[1]: LABELS}))


def test_two_pairs_are_ambiguous_and_an_extra_array_is_mentioned(save: Save) -> None:
    for other in ({"data": FLOATS, "target": LABELS}, {"data": FLOATS}, {"Y": LABELS}):
        with pytest.raises(DataError, match="one array of inputs and one of labels"):
            opened(save(x=FLOATS, y=LABELS, **other))
    for other in ("weights", "classes", "test"):
        (finding,) = opened(save(x=FLOATS, y=LABELS, **{other: LABELS})).findings
        assert finding.code == "arrays-unused"
        assert f"'{other}'" in finding.message


@pytest.mark.parametrize(
    ("label", "dtype"),
    [
        *((label, dtype) for label in (np.inf, -np.inf, np.nan) for dtype in ("<f2", ">f4", "<f8")),
        *((label, dtype) for label in (1e30, -1e30, 2.0**63, 2.0**40) for dtype in ("<f4", "<f8")),
    ],
)
def test_floats_that_are_no_class_index_are_refused(save: Save, label: float, dtype: str) -> None:
    path = save(x=FLOATS, y=np.array([0, 1, label, 2, 0], dtype=dtype))
    with pytest.raises(DataError, match=r"row 2 .*(inf|nan|e\+30|e\+18|e\+12|9223372036854775808|1099511627776)"):
        opened(path)


@pytest.mark.parametrize("names", ["1 2 3", "0 1 10", "01 02 03", "2 1 0"])
def test_integers_beside_names_that_are_other_numbers_are_places_and_that_is_said(save: Save, names: str) -> None:
    path = save(x=FLOATS, y=np.array([0, 1, 2, 1, 0]))
    source = open_data(path, preprocessing=None, classes=names.split())
    assert source.labels.tolist() == [0, 1, 2, 1, 0]
    assert [item.code for item in source.findings] == ["labels-as-places"]
    assert open_data(list(zip(FLOATS, source.labels, strict=True)), preprocessing=None, classes=names.split()).findings
    for clear in ("0 1 2", "a 2 b"):
        assert open_data(path, preprocessing=None, classes=clear.split()).findings == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(chosen=st.sets(st.integers(0, 4)), batch_size=st.integers(1, 6), compressed=st.booleans())
def test_any_rows_in_ascending_order(save: Save, chosen: set[int], batch_size: int, compressed: bool) -> None:
    source = opened(save(x=FLOATS, y=LABELS, compressed=compressed))
    for _ in range(2):
        batches = list(source.batches(np.array(list(chosen), dtype=np.int64), batch_size))
        order = [index for batch in batches for index in batch.indices.tolist()]
        assert order == sorted(chosen)
        assert all(len(batch.inputs) == batch_size for batch in batches[:-1])
        for batch in batches:
            np.testing.assert_array_equal(batch.inputs.numpy(), FLOATS[batch.indices].astype(np.float32))


@pytest.mark.parametrize("compressed", [True, False])
def test_the_array_is_never_whole_in_memory(save: Save, compressed: bool) -> None:
    x = np.zeros((2000, 4000), dtype=np.float32)
    path = save(x=x, y=np.zeros(2000, dtype=np.int64), compressed=compressed)
    size = x.nbytes
    del x
    tracemalloc.start()
    try:
        source = opened(path)
        for batch in source.batches(np.arange(0, 2000, 7), 8):
            assert batch.inputs.shape[1:] == (4000,)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 4


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("trapped", ["x", "y"])
def test_pickles_are_refused_unopened(save: Save, tmp_path: Path, trapped: str) -> None:
    trap = np.array([Trap(tmp_path / "sprung")] * 5, dtype=object)
    path = save(**({"x": FLOATS, "y": LABELS} | {trapped: trap}))
    with pytest.raises(UnsafeInputError, match=f"'{trapped}'.*pickled objects"):
        opened(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (FLOATS, LABELS[:4], "'x'.* has 5 rows but 'y' has 4"),
        (FLOATS, LABELS + 0.5, "labels.*are float64"),
        (FLOATS, LABELS == 1, "labels.*are bool"),
        (FLOATS, LABELS - 1, "hold -1"),
        (FLOATS, np.array([0, 0, 0, 0, 2**63], dtype=np.uint64), f"hold {2**63}"),
        (FLOATS, np.eye(5, dtype=int) + np.eye(5, k=1, dtype=int), r"shape \(5, 5\), and row 0 is not one-hot"),
        (FLOATS, np.int64(3), "no examples"),
        (FLOATS[:0], LABELS[:0], "no examples"),
        (FLOATS[:, :0], LABELS, "no examples"),
        (FLOATS[:, 0, 0, 0], LABELS, r"'x'.* is float64 of shape \(5,\)"),
        (FLOATS.astype(int), LABELS, "'x'.* is int64"),
        (FLOATS.astype(complex), LABELS, "'x'.* is complex128"),
        (FLOATS.astype(np.longdouble), LABELS, "give images as uint8"),
        (np.zeros(5, dtype=[("a", "f4")]), LABELS, "give images as uint8"),
        (np.asfortranarray(FLOATS), LABELS, "'x'.*column by column.*ascontiguousarray"),
        (np.zeros((5, 3, 8, 8), np.uint8), LABELS, r"'x'.* is uint8 of shape \(5, 3, 8, 8\).*last place"),
        (np.zeros((5, 8), np.uint8), LABELS, r"'x'.* is uint8 of shape \(5, 8\)"),
    ],
)
def test_arrays_that_do_not_fit(save: Save, x: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(save(x=x, y=y), Preprocessing())


def with_header(path: Path, shape: tuple[int, ...], descr: str = "<f4", content: bytes = bytes(80)) -> Path:
    """An .npz file whose x declares ``shape``, whatever its content."""
    stream = BytesIO()
    npy.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    labels = BytesIO()
    np.save(labels, LABELS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", stream.getvalue() + content)
        archive.writestr("y.npy", labels.getvalue())
    return path


@pytest.mark.parametrize("shape", [(5, 5), (5, 3), (10**18, 4), (-5, -4), (-1, 4)])
def test_a_shape_that_lies(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert len(opened(with_header(tmp_path / "good.npz", (5, 4)))) == 5
    with pytest.raises(DataError, match="does not hold the"):
        opened(with_header(tmp_path / "data.npz", shape))


def test_huge_rows_and_huge_images(tmp_path: Path) -> None:
    with pytest.raises(UnsafeInputError, match="rows of 400000000 bytes"):
        opened(with_header(tmp_path / "data.npz", (5, 10**8)))
    side = 10_000
    path = with_header(tmp_path / "data.npz", (1, side, side), "|u1", bytes(side * side))
    with pytest.raises(UnsafeInputError, match="10000 × 10000 pixels"):
        opened(path, Preprocessing())


@pytest.mark.parametrize("header", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00junk", b"\x93NUMPY\x01\x00\x08\x00__junk__"])
def test_a_header_that_is_none(tmp_path: Path, header: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("x.npy", header)
        archive.writestr("y.npy", header)
    with pytest.raises(DataError, match=r"'x.npy'.*is damaged"):
        opened(tmp_path / "data.npz")


@pytest.mark.parametrize("compressed", [True, False])
def test_damage_anywhere_is_found_on_opening(save: Save, compressed: bool) -> None:
    path = save(x=FLOATS, y=LABELS, compressed=compressed)
    content = path.read_bytes()
    whole = opened(path)
    values = inputs_of(whole)
    damage = np.random.default_rng(1)
    messages = []
    for position in damage.integers(0, len(content), 200):
        damaged = bytearray(content)
        damaged[position] ^= int(damage.integers(1, 256))
        path.write_bytes(damaged)
        try:
            source = opened(path)
        except (DataError, UnsafeInputError) as error:
            messages.append(str(error))
        else:
            assert torch.equal(inputs_of(source), values)
            assert source.labels.tolist() == whole.labels.tolist()
    assert len(messages) > 100
    assert all(str(path) in message for message in messages)


def test_damage_in_the_last_row_is_found_on_opening(save: Save) -> None:
    x = random.standard_normal((5, 20_000))
    path = save(x=x, y=LABELS, compressed=False)
    content = bytearray(path.read_bytes())
    content[content.index(x[-1].tobytes()) + 150_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"'x.npy'.*is damaged"):
        opened(path)


def test_rows_that_are_missing_are_found_on_opening(tmp_path: Path) -> None:
    path = with_header(tmp_path / "data.npz", (5, 20_000), content=bytes(399_996))
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        position = content.index(signature) + offset
        (size,) = struct.unpack_from("<I", content, position)
        struct.pack_into("<I", content, position, size + 4)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"'x.npy'.*shorter than declared"):
        opened(path)


def test_fingerprint_follows_the_values(save: Save) -> None:
    prints = {
        opened(save(x=x, y=y)).fingerprint
        for x, y in [
            (FLOATS, LABELS),
            (FLOATS, LABELS[::-1]),
            (-FLOATS, LABELS),
            (FLOATS.astype("f4"), LABELS),
            (FLOATS.reshape(5, 24), LABELS),
        ]
    }
    assert len(prints) == 5
    assert opened(save(x=FLOATS, y=LABELS, compressed=False)).fingerprint in prints


def test_preprocessing_of_floats_is_not_applied_and_that_is_said(save: Save) -> None:
    source = opened(save(x=FLOATS, y=LABELS), Preprocessing(crop=2))
    assert inputs_of(source).shape == (5, 3, 4, 2)
    assert source.preprocessing is None
    assert [finding.code for finding in source.findings] == ["preprocessing-unused"]


def test_a_hostile_member_name(save: Save) -> None:
    path = save(x=FLOATS, y=LABELS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil.npy", b"")
    with pytest.raises(UnsafeInputError, match="evil"):
        opened(path)
