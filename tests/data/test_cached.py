"""Cached sources: each example is decoded once, as far as there is room, and nobody sees a difference."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from calibrate.data import (
    Augmented,
    CacheBudget,
    Cached,
    Corrupted,
    InDomains,
    Mapped,
    Source,
    cached,
    open_data,
)
from calibrate.data.preprocess import decoding, pixels
from calibrate.preprocessing import InputMap, Preprocessing
from tests.builders.images import images
from tests.builders.sources import Counted, inputs_of

N = 7
ALL = np.arange(N)
COLOUR = Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
#: One image of :func:`pictures`, and bounds of memory and files for seven of them.
BYTES = 3 * 32 * 32
BUDGETS = {
    "memory": (1 << 30, 1 << 30),
    "file": (0, 1 << 30),
    "both": (2 * BYTES, 3 * BYTES),
    "memory for some": (3 * BYTES, 0),
    "nothing": (0, 0),
}


def pictures(preprocessing: Preprocessing = COLOUR) -> Source:
    """Seven images of 32 × 32 pixels."""
    return open_data(list(images(N)), preprocessing=preprocessing)


def floats() -> list[tuple[Tensor, int]]:
    return [(torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(i)).transpose(1, 2), i % 2) for i in range(N)]


def of_zip(write_zip: Callable[..., Path], picture: Callable[..., bytes], _: Path) -> Source:
    files = {f"{'ab'[i % 2]}/{i}.png": picture(i, (20 + i, 30 - i)) for i in range(N)}
    return open_data(write_zip(files), preprocessing=Preprocessing(resize=16, crop=12))


def of_sizes(write_zip: Callable[..., Path], picture: Callable[..., bytes], _: Path) -> Source:
    files = {f"{'ab'[i % 2]}/{i}.png": picture(i, (20 + i, 30 - i)) for i in range(N)}
    return open_data(write_zip(files), preprocessing=Preprocessing())


def of_npz(values: Any) -> Callable[..., Source]:
    def opened(_: Any, __: Any, folder: Path) -> Source:
        np.savez(folder / "data.npz", x=values, y=np.arange(N) % 3)
        return open_data(folder / "data.npz", preprocessing=COLOUR if values.dtype == np.uint8 else None)

    return opened


KINDS: dict[str, Callable[..., Source]] = {
    "images of a zip": of_zip,
    "images of several sizes": of_sizes,
    "images of an npz": of_npz(np.random.default_rng(0).integers(0, 256, (N, 9, 8, 3), np.uint8)),
    "arrays of an npz": of_npz(np.random.default_rng(0).normal(size=(N, 3, 5))),
    "numbers of an npz": of_npz(np.random.default_rng(0).normal(size=(N, 4)).astype(np.float16)),
    "images of an iterable": lambda *_: pictures(),
    "grey images": lambda *_: pictures(Preprocessing(channels=1, mean=(0.5,), std=(0.25,), transposed=True)),
    "arrays of an iterable": lambda *_: open_data(floats(), preprocessing=None),
    "corrupted": lambda *_: Corrupted(pictures(), "gaussian_noise", 3, 0),
    "augmented": lambda *_: Augmented(pictures(), 5),
    "mapped": lambda *_: Mapped(pictures(), {str(i): 3 - i for i in range(4)}),
    "in domains": lambda *_: InDomains([pictures(), Corrupted(pictures(), "fog", 1, 0)], 0),
}


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_pass_differs_from_the_source_s(
    kind: str, budget: str, tmp_path: Path, write_zip: Callable[..., Path], picture: Callable[..., bytes]
) -> None:
    source = KINDS[kind](write_zip, picture, tmp_path)
    kept = Cached(source, CacheBudget(*BUDGETS[budget]))
    for rows in ([1, 4], [0, 1, 2, 4, 6], ALL, ALL, [2, 3], [5]):
        indices = np.array(rows)
        for one, other in zip(kept.stored(indices), source.stored(indices), strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
        for part in np.split(indices, len(indices)) if kind == "images of several sizes" else [indices]:
            for made, wanted in zip(kept.batches(part, 3), source.batches(part, 3), strict=True):
                assert torch.equal(made.inputs, wanted.inputs)
                assert made.inputs.stride() == wanted.inputs.stride()  # convolutions choose their algorithm by it
                assert made.indices.tolist() == wanted.indices.tolist()


@pytest.mark.parametrize("budget", ["memory", "file"])
def test_each_example_is_decoded_once_in_any_passes(budget: str) -> None:
    counted = Counted(pictures())
    kept = Cached(counted, CacheBudget(*BUDGETS[budget]))
    for rows in ([5], [1, 3, 5], [6, 2], ALL, ALL, [0]):
        inputs_of(kept, rows)
    assert counted.decoded == dict.fromkeys(range(N), 1)


@pytest.mark.parametrize(("budget", "room"), [("both", 5), ("memory for some", 3), ("nothing", 0)])
def test_what_has_no_room_is_decoded_in_each_pass(budget: str, room: int) -> None:
    counted = Counted(pictures())
    kept = Cached(counted, CacheBudget(*BUDGETS[budget]))
    for _ in range(3):
        inputs_of(kept)
    assert [counted.decoded[index] for index in range(N)] == [1] * room + [3] * (N - room)


def test_a_pass_that_is_left_keeps_what_it_has_seen() -> None:
    counted = Counted(pictures())
    kept = cached(counted)
    next(iter(kept.batches(ALL, 3)))
    assert counted.decoded == {0: 1, 1: 1, 2: 1}
    inputs_of(kept)
    assert counted.decoded == dict.fromkeys(range(N), 1)


def test_filling_is_one_pass_and_ends_where_the_room_does() -> None:
    counted = Counted(pictures())
    Cached(counted, CacheBudget(3 * BYTES, 0)).fill_(np.array([6, 0, 5, 1, 4]))
    assert counted.decoded == {0: 1, 1: 1, 4: 1, 5: 1}


def test_streams_may_run_beside_each_other() -> None:
    source = pictures()
    kept = Cached(source, CacheBudget(2 * BYTES, 2 * BYTES))
    streams = [kept.batches(ALL, 1), kept.batches(ALL[1:], 1), kept.batches(ALL[::2], 1)]
    wanted = inputs_of(source)
    for _ in range(3):
        for stream in streams:
            batch = next(stream)
            assert torch.equal(batch.inputs[0], wanted[batch.indices[0]])


def test_threads_may_run_beside_each_other() -> None:
    source = open_data(list(images(48)), preprocessing=COLOUR)
    kept = Cached(source, CacheBudget(10 * BYTES, 20 * BYTES))
    seen: list[Tensor] = []
    threads = [Thread(target=lambda: seen.append(inputs_of(kept))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = inputs_of(source)
    assert len(seen) == 8
    assert all(torch.equal(one, wanted) for one in seen)


@pytest.mark.parametrize("budget", ["memory", "file"])
def test_no_caller_can_change_what_is_kept(budget: str) -> None:
    examples = [(x.contiguous(), y) for x, y in floats()]
    source = open_data(examples, preprocessing=None)
    wanted = torch.stack(list(source.stored(ALL)))
    kept = Cached(source, CacheBudget(*BUDGETS[budget]))
    kept.fill_(ALL)
    for x, _ in examples:
        x.zero_()  # the iterable's own tensors, which it had handed out
    for _ in range(2):
        for example in kept.stored(ALL):
            example.fill_(9)
        for batch in kept.batches(ALL, 2):
            batch.inputs.fill_(9)
    assert torch.equal(torch.stack(list(kept.stored(ALL))), wanted)


def test_it_says_all_that_its_source_says() -> None:
    source = Corrupted(pictures(), "fog", 1, 0)
    kept = cached(source)
    assert (kept.fingerprint, kept.name, kept.entry(3)) == (source.fingerprint, source.name, source.entry(3))
    assert kept.thumbnails([1, 2]) == source.thumbnails([1, 2])
    assert cached(kept) is kept


def test_preparations_share_what_both_decode_alike() -> None:
    counted = Counted(pictures())
    kept = cached(counted)
    inputs_of(kept)
    scaled = COLOUR.model_copy(update={"mean": (0.0, 0.0, 0.0), "order": "bgr", "inverted": True})
    assert torch.equal(inputs_of(kept.prepared_by(scaled)), inputs_of(pictures(scaled)))
    assert counted.decoded == dict.fromkeys(range(N), 1)
    darker = COLOUR.model_copy(update={"maximum": 100})
    again = kept.prepared_by(darker)
    assert torch.equal(inputs_of(again), inputs_of(pictures(darker)))
    assert torch.equal(inputs_of(again), inputs_of(pictures(darker)))
    assert torch.equal(inputs_of(kept), inputs_of(pictures()))


def test_maps_of_arrays_share_what_is_kept() -> None:
    counted = Counted(open_data(floats(), preprocessing=None))
    kept = cached(counted)
    inputs_of(kept)
    doubled = kept.prepared_by(InputMap(scale=(2.0,)))
    assert torch.equal(inputs_of(doubled), 2 * inputs_of(kept))
    assert counted.decoded == dict.fromkeys(range(N), 1)


def other_values() -> Iterator[tuple[str, Any]]:
    """For each field of a preprocessing of images, a value that is not its default."""
    yield from {
        "resize": 20, "crop": 10, "interpolation": "bicubic", "mean": (0.5,), "std": (0.5,), "channels": 1,
        "order": "bgr", "inverted": True, "by_example": True, "transposed": True, "maximum": 100,
    }.items()  # fmt: skip


@pytest.mark.parametrize(("name", "value"), list(other_values()))
def test_pixels_differ_only_where_decoding_does(name: str, value: Any) -> None:
    given = {"resize": 24} if name == "interpolation" else {}
    one = Preprocessing(**given)
    other = one.model_copy(update={name: value})
    image = Image.fromarray(images(1)[0][0])
    before, after = pixels(image, one, "it"), pixels(image, other, "it")
    same = before.shape == after.shape and torch.equal(before, after)
    assert same == (decoding(one) == decoding(other))


def test_all_fields_of_a_preprocessing_are_looked_at() -> None:
    assert {name for name, _ in other_values()} == set(Preprocessing.model_fields) - {"auto", "arrays"}


def test_all_caches_of_a_run_share_one_budget_and_give_it_back() -> None:
    budget = CacheBudget(5 * BYTES, 0)
    clean = Cached(pictures(), budget)
    clean.fill_(ALL[:3])
    corrupted = Counted(cached(Corrupted(clean, "fog", 1, 0)))
    above = cached(InDomains([corrupted, clean], 0))
    inputs_of(above, ALL[3:5])
    counted = Counted(pictures())
    late = Cached(counted, budget)
    for _ in range(2):
        inputs_of(late, [0])
    assert counted.decoded == {0: 2}
    del above, corrupted
    gc.collect()
    for _ in range(2):
        inputs_of(late, [1])
    assert counted.decoded == {0: 2, 1: 1}


def test_an_iterable_that_changes_is_what_it_first_was() -> None:
    class Random:
        """Yields other images in each pass, with the same labels."""

        def __init__(self) -> None:
            self.draw = np.random.default_rng(0)

        def __iter__(self) -> Iterator[tuple[Any, int]]:
            return ((self.draw.integers(0, 256, (8, 8, 3), np.uint8), i % 2) for i in range(N))

    kept = cached(open_data(Random(), preprocessing=COLOUR))
    first = inputs_of(kept)
    assert torch.equal(inputs_of(kept), first)
