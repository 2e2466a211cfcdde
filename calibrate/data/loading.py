"""Loading in a few threads, without losing the order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")

THREADS = min(8, os.cpu_count() or 1)


def load_in_order(load: Callable[[Item], Loaded], items: Iterable[Item], ahead: int) -> Generator[Loaded]:
    """``load(item)`` for each item in order, with at most ``ahead`` of them loaded before they are asked for.

    >>> list(load_in_order(abs, [-3, 2, -1], ahead=2))
    [3, 2, 1]
    """
    pending: deque[Future[Loaded]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="load") as pool:
        try:
            for item in items:
                pending.append(pool.submit(load, item))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
