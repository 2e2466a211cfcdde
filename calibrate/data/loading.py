"""Loading in a few threads, without losing the order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")

THREADS = min(8, os.cpu_count() or 1)
#: So many may be loaded before they are asked for, as long as they have no more bytes than that.
AHEAD, AHEAD_BYTES = 64, 64 << 20


def load_in_order(load: Callable[[Item], Loaded], items: Iterable[Item], least: int) -> Generator[Loaded]:
    """``load(item)`` for each item in order, some of them loaded before they are asked for.

    Those are ``least`` or as many as there are threads, whichever is more; and up to 64 where so many, each as large as
    the largest so far, have at most 64 MiB. An item counts where it is larger than what is loaded from it.

    >>> list(load_in_order(abs, [-3, 2, -1], least=2))
    [3, 2, 1]
    """
    pending: deque[Future[Loaded]] = deque()
    least = max(least, THREADS)
    ahead, largest = least, 1
    with ThreadPoolExecutor(THREADS, thread_name_prefix="load") as pool:
        try:
            for item in items:
                pending.append(pool.submit(load, item))
                largest = max(largest, _bytes_of(item))
                while len(pending) > ahead:
                    loaded = pending.popleft().result()
                    largest = max(largest, _bytes_of(loaded))
                    ahead = max(least, min(AHEAD, AHEAD_BYTES // largest))
                    yield loaded
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _bytes_of(value: object) -> int:
    """The bytes of the pixels or numbers in ``value``."""
    if isinstance(value, tuple):
        return sum(map(_bytes_of, value))
    if isinstance(value, Image.Image):
        return value.width * value.height * len(value.getbands())
    return value.nbytes if isinstance(value, Tensor | np.ndarray) else 0
