"""Loading some examples at once, in a few threads, without losing the order."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")

THREADS = min(8, os.cpu_count() or 1)
#: So many may be loaded at once, as long as they have no more bytes than that.
AT_ONCE, BYTES_AT_ONCE = 64, 64 << 20
#: Each thread takes so many parts of them.
PARTS = 4
#: What takes fewer seconds an item is loaded by the caller's thread: small images hold Python's lock for most of them.
FOR_ONE_THREAD = 5e-4


def load_in_order(load: Callable[[Item], Loaded], items: Iterable[Item], most: int) -> Generator[Loaded]:
    """``load(item)`` for each item in order, some of them at once, when the first of these is asked for.

    Those are 64, or ``most`` if that is more, as long as so many, each as large as the largest so far, have at most
    64 MiB; and one for each thread at least, and at first. An item counts where it is larger than what is loaded from
    it. While the caller works on what it has, nothing is loaded: on a CPU both would share the cores, and a pass of two
    threads takes longer by more than the loading; a GPU works on by itself.

    >>> list(load_in_order(abs, [-3, 2, -1], most=2))
    [3, 2, 1]
    """
    coming, at_once, largest, quick = iter(items), THREADS, 1, False
    with ThreadPoolExecutor(THREADS, thread_name_prefix="load") as pool:
        try:
            while True:
                several, ended = _take(coming, at_once)
                size = max(1, -(-len(several) // (PARTS * THREADS)))
                parts = [several[start : start + size] for start in range(0, len(several), size)]
                largest = max(largest, *map(_bytes_of, several)) if several else largest
                begun = perf_counter()
                results = list((map if quick else pool.map)(partial(_load_each, load), parts))
                quick = perf_counter() - begun < FOR_ONE_THREAD * len(several)
                del several, parts
                for made, error in results:
                    for loaded in made:
                        largest = max(largest, _bytes_of(loaded))
                        yield loaded
                    if error is not None:
                        raise error
                if isinstance(ended, Exception):
                    raise ended
                if ended:
                    return
                at_once = max(THREADS, min(max(AT_ONCE, most), BYTES_AT_ONCE // largest))
        finally:
            pool.shutdown(cancel_futures=True)


def _take(coming: Iterator[Item], count: int) -> tuple[list[Item], bool | Exception]:
    """So many items, and whether there are no more: what was raised in place of the next, where something was."""
    taken: list[Item] = []
    try:
        while len(taken) < count:
            taken.append(next(coming))
    except StopIteration:
        return taken, True
    except Exception as error:
        return taken, error
    return taken, False


def _load_each(load: Callable[[Item], Loaded], items: Sequence[Item]) -> tuple[list[Loaded], Exception | None]:
    """What is loaded, up to the first item that raises, and what that raised."""
    made: list[Loaded] = []
    try:
        for item in items:
            made.append(load(item))  # noqa: PERF401 (what was made before an error stays)
    except Exception as error:
        return made, error
    return made, None


def _bytes_of(value: object) -> int:
    """The bytes of the pixels or numbers in ``value``."""
    if isinstance(value, tuple):
        return sum(map(_bytes_of, value))
    if isinstance(value, Image.Image):
        return value.width * value.height * len(value.getbands())
    return value.nbytes if isinstance(value, Tensor | np.ndarray) else 0
