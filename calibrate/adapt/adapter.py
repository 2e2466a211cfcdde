"""The adapter: one published test-time adaptation method at work on one network."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from calibrate.errors import ModelError
from calibrate.steps import LAME, Method
from calibrate.surgery import (
    OtherRouteError,
    Replacement,
    Site,
    checked_logits,
    find_sites,
    for_inference,
    is_batch_norm,
    matching,
    place_,
)

#: What is left when the stream ends: nothing but the original network; weights to store; weights whose running
#: statistics must be re-estimated first; or code that must run beside the network.
Keeps = Literal["nothing", "weights", "re-estimation", "runtime"]

Settings = TypeVar("Settings", bound=Method)


@dataclass(slots=True)
class Tally:
    """What an adapter has spent so far: passes forward and backward, each over a batch; and how often it reset itself.

    What it spends before the stream begins is in it too.
    """

    forward: int = 0
    backward: int = 0
    resets: int = 0


class Adapter(ABC, Generic[Settings]):
    """A method with frozen ``settings`` at work on ``model``, which it changes.

    The network is in evaluation mode and stays there, dropout included. Making an adapter prepares the network;
    :meth:`step` then takes the stream batch by batch, in no more passes than the method is defined by, all of which
    are counted in ``tally``. Whoever wants the network back keeps a copy: :class:`~calibrate.adapt.Adapted` does.
    ``in_distribution`` are batches (n, ...) of inputs like those that the network was trained on, for the methods that
    look at some while they prepare.
    """

    #: What is left when the stream ends.
    keeps: ClassVar[Keeps]

    def __init__(self, settings: Settings, model: nn.Module, in_distribution: Iterable[Tensor] = ()) -> None:
        self.settings, self.model, self.in_distribution = settings, model.eval(), in_distribution
        self.tally = Tally()
        #: The tensors that the method learns, by their names in the state dict.
        self.learned: dict[str, nn.Parameter] = {}
        #: What :meth:`infer` runs.
        self.folded: nn.Module | None = None
        self.prepare_()
        self.in_distribution = ()

    @abstractmethod
    def prepare_(self) -> None:
        """Give the network the layers, and the adapter the state, with which the stream begins."""

    @abstractmethod
    def step(self, x: Tensor) -> Tensor:
        """The logits (n, K) for the batch ``x``, from which the adapter has learned what it can."""

    def forward(self, x: Tensor) -> Tensor:
        """The network's logits for ``x``: one pass."""
        self.tally.forward += 1
        return checked_logits(self.model, x)

    def infer(self, x: Tensor) -> Tensor:
        """Like :meth:`forward`, of a network that stays as it is: by a copy that is made at the first batch, quicker.

        Its BatchNorm layers are folded into the convolutions where they can be, so that its logits are those of
        ``model`` up to rounding; what is done to ``model`` later it does not know of.
        """
        self.tally.forward += 1
        try:
            return checked_logits(self.fold_(x), x)
        except OtherRouteError:
            self.folded = self.model
            return checked_logits(self.model, x)

    def fold_(self, x: Tensor) -> nn.Module:
        """The copy that :meth:`infer` runs; the first ``x`` shows how examples go through the network.

        From the first that goes another way on, it is the network itself.
        """
        if self.folded is None:
            checked_logits(self.model, x[:2])
            self.folded = for_inference(self.model, x[:2], guarded=True)
        return self.folded

    def place_by_batch_(self, **weights: float | str | None) -> None:
        """Let the matching BatchNorm layers normalise by the batch, mixed with the source as ``weights`` say."""
        assert not isinstance(self.settings, LAME)  # which changes no layer
        replacement = Replacement("BatchWeighedBatchNorm", weights)
        self.model = place_(self.model, {site.name: replacement for site in adaptable(self.model, self.settings.sites)})


def adaptable(model: nn.Module, patterns: Sequence[str]) -> tuple[Site, ...]:
    """The matching BatchNorm layers, whose statistics and γ, β an adapter may change.

    Raises ModelError where there is none, UsageError for a pattern that matches no layer.
    """
    sites = tuple(
        site for site in matching(find_sites(model), patterns) if is_batch_norm(site.module) and not site.obstacle
    )
    if not sites:
        raise ModelError(
            "the network has no matching BatchNorm layer that keeps running statistics and does not weigh examples "
            "already, so there is nothing to adapt to a stream. LAME changes no layer, and works on any classifier."
        )
    return sites


def entropy(logits: Tensor) -> Tensor:
    """Shannon entropy of softmax(logits), in nats, float32 at least: (n, K) to (n,).

    >>> entropy(torch.zeros(1, 4)).exp()
    tensor([4.])
    """
    log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)
