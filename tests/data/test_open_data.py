"""Opening data, the fit of data and model, and the order of loading."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from calibrate.data import ClassFolders, Examples, Npz, open_data
from calibrate.data.loading import AT_ONCE, BYTES_AT_ONCE, THREADS, load_in_order
from calibrate.errors import DataError, RecipeError, UsageError
from calibrate.recipe import Preprocessing

Write = Callable[..., Path]
EXAMPLES: Any = [(torch.zeros(3), label) for label in (0, 2, 1)]


def test_dispatch(write_zip: Write, write_folder: Write, pets: dict[str, bytes], tmp_path: Path) -> None:
    np.savez(tmp_path / "data.NPZ.npz", x=np.zeros((2, 3)), y=[0, 1])
    (tmp_path / "data.NPZ.npz").rename(tmp_path / "data.NPZ")
    kinds = {
        write_zip(pets, "data.ZIP"): ClassFolders,
        write_folder(pets, "folder.npz"): ClassFolders,
        tmp_path / "data.NPZ": Npz,
    }
    for path, kind in kinds.items():
        for given in (path, str(path)):
            source = open_data(given, preprocessing=Preprocessing())
            assert type(source) is kind
            assert source.name == str(path)
    source = open_data(EXAMPLES, preprocessing=None)
    assert type(source) is Examples
    assert source.name == "list"


def test_an_open_source_is_returned_as_it_is() -> None:
    source = open_data(EXAMPLES, preprocessing=None)
    assert open_data(source, preprocessing=Preprocessing()) is source
    with pytest.raises(UsageError, match="open already"):
        open_data(source, preprocessing=None, classes=["a", "b", "c"])


@pytest.mark.parametrize("name", ["missing", "missing.zip", "missing.npz", "x" * 5000, "nul\0.zip"])
def test_a_missing_path_says_what_is_accepted(name: str) -> None:
    with pytest.raises(DataError, match=r"does not exist.*directory, \.zip, .* of class folders, .*an \.npz"):
        open_data(name, preprocessing=None)


def test_another_file_says_what_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "data.rar").write_bytes(b"")
    with pytest.raises(DataError, match=r"data\.rar' is not data.*\.npz"):
        open_data(tmp_path / "data.rar", preprocessing=None)


@pytest.mark.parametrize("name", ["data.zip", "data.npz"])
def test_an_npz_that_is_no_zip(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"hello" * 100)
    with pytest.raises(DataError, match="not a complete zip"):
        open_data(tmp_path / name, preprocessing=Preprocessing())


def test_folders_without_a_list_must_be_as_many_as_outputs(write_zip: Write, pets: dict[str, bytes]) -> None:
    source = open_data(write_zip(pets), preprocessing=Preprocessing())
    source.check_outputs(3)
    for outputs in (2, 10):
        with pytest.raises(DataError, match=f"3 class folders but the model has {outputs} outputs;.*--classes"):
            source.check_outputs(outputs)


def test_the_class_list_must_be_as_long_as_the_outputs() -> None:
    source = open_data(EXAMPLES, preprocessing=None, classes=["a", "b", "c", "d"])
    assert source.listed
    assert source.class_names == ("a", "b", "c", "d")
    source.check_outputs(4)
    for outputs in (3, 5):
        with pytest.raises(DataError, match=f"list has 4 names but the model has {outputs} outputs"):
            source.check_outputs(outputs)


def test_labels_must_be_outputs() -> None:
    source = open_data(EXAMPLES, preprocessing=None)
    source.check_outputs(3)
    source.check_outputs(1000)
    with pytest.raises(DataError, match="example 1 of list has the label 2 but the model has 2 outputs, labels 0 to 1"):
        source.check_outputs(2)


def test_a_label_beyond_the_class_list() -> None:
    source = open_data(EXAMPLES, preprocessing=None, classes=["a", "b"])
    with pytest.raises(DataError, match="example 1 of list has the label 2"):
        source.check_outputs(2)


@pytest.mark.parametrize(("indices", "batch_size"), [([0, 0], 1), ([-1], 1), ([3], 1), ([0], 0), ([0], -1)])
def test_impossible_batches(indices: list[int], batch_size: int) -> None:
    with pytest.raises(ValueError, match="distinct indices from 0 to 2"):
        list(open_data(EXAMPLES, preprocessing=None).batches(np.array(indices), batch_size))


def test_labels_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        open_data(EXAMPLES, preprocessing=None).labels[0] = 1


@pytest.mark.parametrize(
    ("most", "item_bytes", "loaded_bytes", "at_once"),
    [
        (1, 1, 1, AT_ONCE),
        (1, 1, BYTES_AT_ONCE // 16, 16),
        (1, BYTES_AT_ONCE // 16, 1, 16),
        (20, 1, BYTES_AT_ONCE // 16, 16),
        (1, 1, BYTES_AT_ONCE + 1, THREADS),
        (100, 1, 1, 100),
    ],
)
def test_loading_keeps_the_order_and_takes_as_many_at_once_as_count_and_bytes_allow(
    most: int, item_bytes: int, loaded_bytes: int, at_once: int
) -> None:
    """Tensors of one repeated byte stand for large ones: they say the size, and take no memory."""
    taken: list[int] = []

    def items() -> Iterator[tuple[int, Tensor]]:
        for number in range(250):
            taken.append(number)
            yield number, torch.zeros(1, dtype=torch.uint8).expand(item_bytes)

    def load(item: tuple[int, Tensor]) -> Tensor:
        return torch.full((1,), item[0], dtype=torch.uint8).expand(loaded_bytes)

    asked: list[int] = []
    for result in load_in_order(load, items(), most):
        asked.append(int(result[0]))
        wholes = max(0, -(-(len(asked) - THREADS) // at_once))  # until then nobody knows how large they are
        assert len(taken) == min(250, THREADS + wholes * at_once)
    assert asked == list(range(250))


def test_items_before_one_that_raises_are_loaded() -> None:
    def items() -> Iterator[int]:
        yield from range(50)
        raise OSError("disk")

    loading = load_in_order(abs, items(), most=7)
    assert [next(loading) for _ in range(50)] == [*range(50)]
    with pytest.raises(OSError, match="disk"):
        next(loading)


def test_nothing_is_loaded_while_the_caller_works() -> None:
    """A network on the CPU shares its cores with nobody."""
    running: list[int] = []

    def load(item: int) -> int:
        running.append(item)
        return item

    for result in load_in_order(load, range(200), most=7):
        before = len(running)
        time.sleep(0.001)
        assert len(running) == before > result


def test_loading_stops_with_its_reader() -> None:
    closed: list[bool] = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    loading = load_in_order(str, items(), most=4)
    assert next(loading) == "0"
    loading.close()
    assert closed == [True]


def test_an_error_in_loading_reaches_the_reader_in_its_turn() -> None:
    loading = load_in_order(lambda item: 1 // item, [*[1] * 99, 0, 1], most=40)
    assert [next(loading) for _ in range(99)] == [1] * 99
    with pytest.raises(ZeroDivisionError):
        next(loading)


def test_leaving_a_pass_early_lets_the_next_one_start_afresh(write_zip: Write, pets: dict[str, bytes]) -> None:
    source = open_data(write_zip(pets), preprocessing=Preprocessing())
    first = next(iter(source.batches(np.arange(7), 2)))
    again = next(iter(source.batches(np.arange(7), 2)))
    assert torch.equal(first.inputs, again.inputs)


def test_a_preprocessing_may_be_a_mapping(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 6, 6), np.uint8), y=np.arange(3))
    shape = {"crop": 4, "channels": 1, "mean": [0.5], "std": [0.5]}
    source = open_data(tmp_path / "data.npz", preprocessing=shape)
    assert source.preprocessing == Preprocessing(**shape)
    with pytest.raises(RecipeError, match="krop"):
        open_data(tmp_path / "data.npz", preprocessing={"krop": 4})
    with pytest.raises(UsageError, match="preprocessing is 4; give"):
        open_data(tmp_path / "data.npz", preprocessing=4)  # type: ignore[arg-type]
