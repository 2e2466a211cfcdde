"""Decay of γ and β alone."""

from typing import Literal

from torch import Tensor, nn

from calibrate.errors import ModelError
from calibrate.finetune.groups import parameter_roles
from calibrate.finetune.penalty import Penalty, sum_of_squares


class AffineDecay(Penalty):
    """Pulls every β to 0 and every γ to 0 or 1.

    With λ = ``strength``, over the batch and group normalisation layers::

        λ/2 · ‖β‖² + λ/2 · ‖γ − gamma_toward‖²

    *Helps* residual networks, and *hurts* Inception-like ones. The optimiser's own decay of γ and β is then 0.

    Raises ModelError for a network that has neither.

    Reference: Summers & Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, §3.3.

    >>> norm = nn.BatchNorm1d(3)
    >>> AffineDecay(norm, 0.5)().item(), AffineDecay(norm, 0.5, gamma_toward=1)().item()
    (0.75, 0.0)
    """

    def __init__(self, model: nn.Module, strength: float, gamma_toward: Literal[0, 1] = 0) -> None:
        towards = {"gamma": float(gamma_toward), "beta": 0.0}
        self.pulls = [(p, towards[role]) for p, role in parameter_roles(model).items() if role in towards]
        if not self.pulls:
            raise ModelError(
                f"the network ({type(model).__name__}) has no batch or group normalisation layer with γ and β, so "
                "there is nothing for the decay of γ and β to act on; leave it out."
            )
        self.strength = strength

    def __call__(self) -> Tensor:
        """The penalty of γ and β as they are now."""
        return self.strength / 2 * sum_of_squares(self.pulls)
