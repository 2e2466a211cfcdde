"""Derived sources: what one does not change is its source's, whatever a source may have to say."""

import hashlib
import inspect
from collections.abc import Callable, Generator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data import Augmented, Cached, Corrupted, InDomains, Mapped, Source
from calibrate.data.derived.base import Derived
from calibrate.data.source import Batch
from calibrate.errors import DataError
from calibrate.recipe import Preprocessing
from calibrate.result import Finding
from tests.builders.sources import inputs_of

ROWS = np.arange(5)
CLASSES = ("zero", "one", "two")


class Pixels(Source):
    """Five images of noise, of which everything is said that can be; ``open`` counts the streams not yet closed."""

    open = 0

    def __init__(self, seed: int = 0, *, listed: bool = True) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.pixels = torch.randint(256, (5, 3, 40, 40), generator=draw, dtype=torch.uint8)
        super().__init__(
            name=f"pixels {seed}",
            labels=np.array([0, 1, 2, 0, 1]),
            fingerprint=f"{seed}" * 64,
            preprocessing=Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)),
            class_names=CLASSES,
            listed=listed,
            findings=(Finding(code="found", severity="warning", message="a finding"),),
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def entry(self, index: int) -> str:
        return f"image {index}"

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:
        self.open += 1
        try:
            for index in indices.tolist():
                yield self.pixels[index]
        finally:
            self.open -= 1


class Same(Derived):
    """Changes nothing."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)


class Negative(Derived):
    """Changes one example, and its own name."""

    def __init__(self, source: Source) -> None:
        super().__init__(source, b" negative", name="negative")

    def _changed(self, example: Tensor, index: int) -> Tensor:
        return 255 - example if index == 2 else example


def said(source: Source) -> dict[str, object]:
    """All that the constructor of a source is told, as the source says it."""
    told = [name for name in inspect.signature(Source.__init__).parameters if name != "self"]
    values = {name: getattr(source, name) for name in told}
    return {**values, "labels": source.labels.tolist() if source.labels is not None else None, "length": len(source)}


@pytest.mark.parametrize("listed", [True, False])
def test_whatever_is_not_changed_is_the_source_s(listed: bool) -> None:
    source = Pixels(listed=listed)
    same = Same(source)
    assert said(same) == said(source)
    assert [same.entry(index) for index in range(5)] == [source.entry(index) for index in range(5)]
    assert torch.equal(inputs_of(same, batch_size=2), inputs_of(source))
    assert same.thumbnails([1, 3]) == source.thumbnails([1, 3])
    for one in (same, source):
        with pytest.raises(DataError, match="list has 3 names" if listed else "3 class folders"):
            one.check_outputs(4)


def test_a_change_is_a_change_of_one_thing() -> None:
    source = Pixels()
    negative = Negative(source)
    mark = hashlib.sha256((source.fingerprint + " negative").encode()).hexdigest()
    assert said(negative) == {**said(source), "name": "negative", "fingerprint": mark}
    made = torch.stack(list(negative._stream(ROWS, 1)))
    assert torch.equal(made[2], 255 - source.pixels[2])
    assert torch.equal(made[ROWS != 2], source.pixels[ROWS != 2])


def of_hash(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


#: What each says differently of the images of ``Pixels()``, by the definitions of their fingerprints.
DIFFERENCES: dict[str, tuple[Callable[[], Source], dict[str, object]]] = {
    "augmented": (lambda: Augmented(Pixels(), 7), {"fingerprint": of_hash(b"0" * 64, b"\0flip_crop\x007")}),
    "corrupted": (
        lambda: Corrupted(Pixels(), "fog", 3, 7),
        {"name": "pixels 0, C-style fog, severity 3", "fingerprint": of_hash(b"0" * 64, b"\0fog\x003\x007")},
    ),
    "cached": (lambda: Cached(Pixels()), {}),
    "in domains": (
        lambda: InDomains([Pixels(), Pixels(1), Pixels(2)], 7),
        {
            "name": "pixels 0; pixels 1; pixels 2",
            "fingerprint": of_hash(
                b"0" * 64, b"\0", b"1" * 64, b"\0", b"2" * 64,
                (np.random.Generator(np.random.PCG64(7)).permutation(5) % 3).astype("<i8").tobytes(),
            ),
        },
    ),
    "mapped": (
        lambda: Mapped(Pixels(), {"zero": 3, "one": 2, "two": 0}),
        {
            "labels": [3, 2, 0, 3, 2],
            "class_names": None,
            "listed": False,
            "fingerprint": of_hash(b"0" * 64, np.array([3, 2, 0, 3, 2], dtype="<i8").tobytes()),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_says_its_difference_and_nothing_else(name: str) -> None:
    make, difference = DIFFERENCES[name]
    source = make()
    assert isinstance(source, Derived)
    assert said(source) == {**said(Pixels()), **difference}
    assert [source.entry(index) for index in range(5)] == [f"image {index}" for index in range(5)]


def test_all_derived_sources_are_looked_at() -> None:
    of_the_library = {kind for kind in Derived.__subclasses__() if kind.__module__.startswith("calibrate.")}
    assert {type(make()) for make, _ in DIFFERENCES.values()} == of_the_library


def test_a_stream_left_or_broken_off_closes_that_of_the_source() -> None:
    class Broken(Negative):
        def _changed(self, example: Tensor, index: int) -> Tensor:
            if index == 2:
                raise DataError("of this one nothing can be made")
            return example

    source = Pixels()
    left: Generator[Batch] = Same(source).batches(ROWS, 2)  # type: ignore[assignment]
    next(left)
    assert source.open == 1
    left.close()
    assert source.open == 0
    with pytest.raises(DataError, match="of this one nothing"):
        list(Broken(source).batches(ROWS, 1))
    assert source.open == 0


def test_the_base_is_no_source_of_its_own() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Derived(Pixels())  # type: ignore[abstract]
