"""L2-SP: weight decay towards the starting point."""

from collections.abc import Sequence

from torch import Tensor, nn

from calibrate.finetune.head import head_parameters
from calibrate.finetune.penalty import Penalty, sum_of_squares


class L2SP(Penalty):
    """Pulls the backbone to where it started and the head, which is learned afresh, to 0.

    With w all parameters, γ and β among them, w₀ their values when this is made, a = ``backbone_strength`` and
    b = ``head_strength``::

        a/2 · Σ_backbone ‖w − w₀‖² + b/2 · Σ_head ‖w‖²

    It takes the place of weight decay, which is then 0. Cost: a copy of the backbone's parameters, and a pass over them
    for each batch.

    Reference: Li, Grandvalet & Davoine, Explicit Inductive Bias for Transfer Learning with Convolutional Networks,
    ICML 2018, §3.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    >>> penalty = L2SP(model, head=["1"], head_strength=0.0)
    >>> penalty().item(), nn.init.zeros_(model[1].weight).sum().item(), penalty().item()
    (0.0, 0.0, 0.0)
    """

    def __init__(
        self, model: nn.Module, head: Sequence[str], backbone_strength: float = 0.01, head_strength: float = 0.01
    ) -> None:
        in_head = head_parameters(model, head)
        self.head = list(in_head.values())
        self.backbone = [parameter for parameter in model.parameters() if id(parameter) not in in_head]
        self.source = [parameter.detach().clone() for parameter in self.backbone]
        self.backbone_strength, self.head_strength = backbone_strength, head_strength

    def __call__(self) -> Tensor:
        """The penalty of the parameters as they are now."""
        moved = sum_of_squares(zip(self.backbone, self.source, strict=True))
        return self.backbone_strength / 2 * moved + self.head_strength / 2 * sum_of_squares((w, 0.0) for w in self.head)
