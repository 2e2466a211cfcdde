"""Generators of random numbers, each from a seed alone: no draw here depends on one made elsewhere, nor changes it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


def numpy_generator(seed: int | Sequence[int]) -> np.random.Generator:
    """NumPy's PCG64 from ``seed``; several numbers, such as a run's seed and an epoch, are one seed of their own.

    >>> numpy_generator(0).permutation(4).tolist() == numpy_generator(0).permutation(4).tolist()
    True
    """
    return np.random.Generator(np.random.PCG64(seed))


def torch_generator(seed: int) -> torch.Generator:
    """A torch generator on the CPU from ``seed``.

    >>> torch_generator(7).initial_seed()
    7
    """
    return torch.Generator().manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set torch's own generator on the CPU, of which fresh weights are drawn, to ``seed``; its state is given back.

    >>> with seeded(0):
    ...     drawn = torch.rand(2)
    >>> torch.equal(drawn, torch.rand(2, generator=torch_generator(0)))
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
