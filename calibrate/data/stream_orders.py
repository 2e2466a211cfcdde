"""The order of a stream: which example, in which domain, comes when."""

import numpy as np
from numpy.typing import NDArray

from calibrate.generators import numpy_generator
from calibrate.steps import Stream

Rows = NDArray[np.int64]


def stream_order(labels: Rows, stream: Stream, seed: int) -> tuple[Rows, Rows]:
    """The domain and the row of ``labels`` (n,) of every visit, (m,) each: m is n for each domain, and each cycle.

    >>> domains, rows = stream_order(np.array([1, 0, 1, 0]), Stream(order="class_sorted"), seed=0)
    >>> domains.tolist(), np.array([1, 0, 1, 0])[rows].tolist()
    ([0, 0, 0, 0], [0, 0, 1, 1])
    """
    draw = numpy_generator(seed)
    domains, rows = [], []
    for _ in range(stream.cycles or 1):
        for domain in range(len(stream.domains)):
            part = _within(labels, stream, draw)
            domains.append(np.full(len(part), domain))
            rows.append(part)
    visits = np.concatenate(domains), np.concatenate(rows)
    if stream.order == "mixed":
        shuffled = draw.permutation(len(visits[0]))
        return visits[0][shuffled], visits[1][shuffled]
    return visits


def _within(labels: Rows, stream: Stream, draw: np.random.Generator) -> Rows:
    shuffled = draw.permutation(len(labels))
    if stream.order == "class_sorted":
        return shuffled[np.argsort(labels[shuffled], kind="stable")]
    if stream.order != "correlated":
        return shuffled
    assert stream.concentration is not None
    present = np.unique(labels)
    slots: list[list[Rows]] = [[] for _ in present]
    for label in present:
        own = shuffled[labels[shuffled] == label]
        shares = draw.dirichlet(np.full(len(present), stream.concentration))
        for slot, part in zip(slots, np.split(own, _cuts(shares, len(own))), strict=True):
            slot.append(part)
    return np.concatenate([draw.permutation(np.concatenate(slot)) for slot in slots])


def _cuts(shares: NDArray[np.float64], count: int) -> Rows:
    """Where to cut ``count`` examples so that the parts have these shares, as nearly as whole numbers can."""
    cuts: Rows = np.rint(np.cumsum(shares)[:-1] * count).astype(np.int64)
    return cuts
