"""Made-up networks for the metric tests: logits and labels of a chosen skill."""

import numpy as np
import torch
from torch import Tensor

from calibrate.metrics import PerExample


def network(n: int, outputs: int, seed: int, *, skill: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(outputs, (n,), generator=generator)
    logits = torch.randn(n, outputs, generator=generator, dtype=torch.float64)
    logits[torch.arange(n), labels] += skill
    return logits, labels


def columns(n: int, seed: int) -> PerExample:
    """Scores of n examples, drawn directly."""
    generator = np.random.default_rng(seed)
    confidence = generator.uniform(0.2, 1, n)
    top1 = (generator.random(n) < confidence).astype(np.float64)
    return PerExample(
        top1=top1,
        top5=np.maximum(top1, (generator.random(n) < 0.5).astype(np.float64)),
        nll=generator.exponential(size=n),
        brier=generator.uniform(0, 2, n),
        confidence=confidence,
    )
