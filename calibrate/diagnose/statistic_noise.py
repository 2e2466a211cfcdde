"""The statistic-noise probe: what becomes of a network whose running statistics are off at random."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from calibrate.errors import UsageError
from calibrate.generators import numpy_generator
from calibrate.metrics import score
from calibrate.steps import NoiseCurve, NoiseLevel
from calibrate.surgery import Site

Granularity = Literal["channel", "layer"]

STATISTICS = ("running_mean", "running_var")


@contextmanager
def disturbed(
    sites: Sequence[Site], delta: float, *, seed: int, repetition: int, granularity: Granularity = "channel"
) -> Iterator[None]:
    """Within, each site normalises by rm·(1 + δ) and rv·(1 + δ′); on every exit its own buffers are back.

    δ, δ′ ~ U(−Δ, Δ) are independent, 0 ≤ Δ < 1: a pair for each channel, or for each layer. They depend on the seed,
    the repetition and the site's first name alone, and are Δ times the same draw for every Δ. The products are
    float64's, rounded to the type of the buffer; Δ = 0 changes nothing.
    Reference: Huang et al., Delving into the Estimation Shift of Batch Normalization in a Network, 2022, Eq. 5.

    >>> from torch import nn; from calibrate.surgery import find_sites
    >>> layer = nn.BatchNorm1d(2)
    >>> with disturbed(find_sites(nn.Sequential(layer)), 0.5, seed=0, repetition=0):
    ...     layer.running_var
    tensor([0.8640, 1.2787])
    >>> layer.running_var
    tensor([1., 1.])
    """
    if not 0 <= delta < 1:
        raise UsageError(
            f"delta is {delta:g}, and a variance stays positive only for 0 ≤ delta < 1; give such a number."
        )
    own = [(site.module, name, site.module.get_buffer(name)) for site in sites for name in STATISTICS]
    try:
        for site in sites:
            draws = _draw(seed, repetition, site.name, site.channels if granularity == "channel" else 1)
            for name, draw in zip(STATISTICS, draws, strict=True):
                buffer = site.module.get_buffer(name)
                disturbed_buffer = buffer.double() * (1 + delta * draw.to(buffer.device))
                setattr(site.module, name, disturbed_buffer.to(buffer.dtype))
        yield
    finally:
        for module, name, buffer in own:
            setattr(module, name, buffer)


def noise_curve(
    logits_of: Callable[[str], Tensor],
    labels: Tensor,
    sites: Sequence[Site],
    *,
    deltas: Sequence[float],
    repetitions: int,
    granularity: Granularity = "channel",
    seed: int = 0,
) -> NoiseCurve:
    """Top-1 and cross-entropy with the statistics of all ``sites`` disturbed at once, for each Δ of ``deltas``.

    ``logits_of(which)`` is called within each disturbance, to give the logits (n, K) of the network that the sites are
    in, for examples with the ``labels`` (n,), and is told which it is. An example whose logits are not all finite
    counts as wrong, and has no cross-entropy. Cost: a call for each Δ and repetition.
    """

    def level(delta: float) -> NoiseLevel:
        logits = []
        for repetition in range(repetitions):
            with disturbed(sites, delta, seed=seed, repetition=repetition, granularity=granularity):
                logits.append(logits_of(f"Δ = {delta:g}, {repetition + 1} of {repetitions}"))
        return noise_level(delta, logits, labels)

    return NoiseCurve(sites=tuple(site.name for site in sites), levels=tuple(level(delta) for delta in deltas))


def noise_level(delta: float, logits: Sequence[Tensor], labels: Tensor) -> NoiseLevel:
    """Mean and standard deviation (ddof 1) of top-1 and mean cross-entropy over the ``logits`` of two draws or more.

    >>> noise_level(0.1, [torch.eye(2), -torch.eye(2)], torch.tensor([0, 1])).top1
    0.5
    """
    finite = [each.isfinite().all(1) for each in logits]
    scores = [score(each[rows], labels[rows]) for each, rows in zip(logits, finite, strict=True)]
    top1 = np.array([found.top1.sum() / len(labels) for found in scores])
    broken = sum(not bool(rows.all()) for rows in finite)
    nll = None if broken else np.array([found.nll.mean() for found in scores])
    return NoiseLevel(
        delta=delta,
        top1=float(top1.mean()),
        top1_sd=float(top1.std(ddof=1)),
        nll=None if nll is None else float(nll.mean()),
        nll_sd=None if nll is None else float(nll.std(ddof=1)),
        broken=broken,
    )


def _draw(seed: int, repetition: int, name: str, size: int) -> Tensor:
    """Two rows of ``size`` float64 numbers from U(−1, 1)."""
    key = hashlib.sha256(f"{seed} {repetition} {name}".encode()).digest()
    return torch.from_numpy(numpy_generator(int.from_bytes(key)).uniform(-1, 1, (2, size)))
