"""Landscapes over α whose optimum is known, and which note what was asked of them."""

import torch
from torch import Tensor

LABELS = torch.arange(400) % 4


class Valley:
    """Logits whose noise is least at ``optimum``; the sharpness varies too, as with α, and T must undo that."""

    def __init__(self, optimum: float, n: int = 400, *, smooth: bool = False) -> None:
        self.labels = torch.arange(n) % 4
        self.errors = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
        self.truth = torch.nn.functional.one_hot(self.labels, 4).float()
        self.optimum = optimum
        self.smooth = smooth
        self.asked: list[tuple[float, Tensor]] = []

    def logits(self, alpha: float) -> Tensor:
        """The logits of all examples."""
        distance = (alpha - self.optimum) ** 2 if self.smooth else abs(alpha**0.5 - self.optimum**0.5)
        return (self.truth + (0.6 + 4 * distance) * self.errors) * (5 - 4 * alpha)

    def __call__(self, alpha: float, rows: Tensor) -> Tensor:
        self.asked.append((alpha, rows))
        return self.logits(alpha)[rows]

    @property
    def passes(self) -> float:
        """Passes as this side counted them."""
        return sum(len(rows) for _, rows in self.asked) / len(self.labels)

    def rows_at(self, alpha: float) -> Tensor:
        """Every row that was asked for at ``alpha``, ascending."""
        return torch.cat([rows for asked, rows in self.asked if asked == alpha]).sort().values
