"""Mixup: each batch is mixed with itself in another order."""

import torch
import torch.nn.functional as F
from torch import Tensor

from calibrate.errors import UsageError
from calibrate.generators import numpy_generator


def mixup(
    x: Tensor, y: Tensor, classes: int, alpha: float = 0.2, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mixed inputs, and the shares (N, classes) of the classes in each, which ``F.cross_entropy`` takes as targets.

    With λ ~ Beta(alpha, alpha), one for the batch, and a permutation π, drawn from ``generator`` or else torch's own::

        x ← λ·x + (1 − λ)·x[π],  y ← λ·onehot(y) + (1 − λ)·onehot(y)[π]

    Reference: Zhang, Cissé, Dauphin & Lopez-Paz, mixup: Beyond Empirical Risk Minimization, ICLR 2018, §2.

    >>> x, shares = mixup(torch.randn(4, 3), torch.tensor([0, 1, 1, 0]), classes=2)
    >>> shares.sum(1)
    tensor([1., 1., 1., 1.])
    """
    if not alpha > 0:
        raise UsageError(f"mixup's alpha is {alpha}; it is both parameters of a Beta distribution: give one above 0.")
    device = None if generator is None else generator.device
    seed = torch.randint(2**63 - 1, (), generator=generator, device=device)
    weight = numpy_generator(int(seed)).beta(alpha, alpha)
    order = torch.randperm(len(x), generator=generator, device=device).to(x.device)
    shares = F.one_hot(y, classes).to(torch.promote_types(x.dtype, torch.float32))
    return torch.lerp(x[order], x, weight), torch.lerp(shares[order], shares, weight)
