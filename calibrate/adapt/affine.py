"""What the methods share that learn γ and β by gradient: which tensors, under which statistics, by which optimizer."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from calibrate.adapt.adapter import Adapter, Keeps, adaptable
from calibrate.errors import ModelError
from calibrate.steps import ETA, SAR, SGD, Adam, Tent

Settings = TypeVar("Settings", bound=Tent | ETA | SAR)


class AffineAdapter(Adapter[Settings]):
    """Learns γ and β of the matching layers, which normalise by the batch; a base class.

    All other tensors, the running statistics among them, stay as they are. γ and β are learned in float32 at least,
    also where the network is bfloat16; float16 is refused, in which such small gradients would be rounded to 0.
    """

    keeps: ClassVar[Keeps] = "re-estimation"

    def prepare_(self) -> None:
        """Let the layers normalise by the batch, and only γ and β be learned."""
        affine = {
            id(parameter)
            for site in adaptable(self.model, self.settings.sites)
            for parameter in (site.module.weight, site.module.bias)
            if parameter is not None
        }
        self.learned = {name: parameter for name, parameter in self.model.named_parameters() if id(parameter) in affine}
        if not self.learned:
            raise ModelError(
                "none of the matching BatchNorm layers has γ and β (affine=False), so there is nothing to learn. The "
                "method prediction_time_bn needs none."
            )
        if any(parameter.dtype == torch.float16 for parameter in self.model.parameters()):
            raise ModelError(
                f"the network is float16, in which the gradients that {self.settings.kind} follows are rounded to 0; "
                "store it as float32 or bfloat16, or take prediction_time_bn, which needs no gradients."
            )
        self.model.requires_grad_(False)
        for parameter in self.learned.values():
            parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
            parameter.requires_grad_(True)
        self.place_by_batch_()
        self.begin_()

    def begin_(self) -> None:
        """Give the optimizer its first state."""
        self.optimizer = optimizer(self.settings.optimizer, self.learned.values())

    @torch.enable_grad()
    def step(self, x: Tensor) -> Tensor:
        """The logits before γ and β changed."""
        return self.learn_(x).detach()

    @abstractmethod
    def learn_(self, x: Tensor) -> Tensor:
        """Learn from the batch ``x``; its logits before that."""

    def backward_(self, loss: Tensor) -> None:
        """Make the gradient of ``loss`` that of γ and β: one pass."""
        self.optimizer.zero_grad()
        self.tally.backward += 1
        loss.backward()

    def descend_(self, loss: Tensor) -> None:
        """One step of the optimizer down ``loss``."""
        self.backward_(loss)
        self.optimizer.step()


def optimizer(settings: Adam | SGD, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """A fresh optimizer of ``parameters``."""
    if isinstance(settings, Adam):
        return torch.optim.Adam(parameters, lr=settings.lr)
    return torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum)
