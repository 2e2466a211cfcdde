"""What is known of a layer besides its code: its card, its settings, and how it takes the place of BatchNorm."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.nn.batch_norm_variant import BatchNormOptions
from calibrate.steps.card import Card, read_card

#: Arguments that the replaced layer decides: size, home, and BatchNorm's options.
INHERITED = {"num_features", "num_channels", "batch_norm", "options", *BatchNormOptions.__annotations__}


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A layer that can take the place of BatchNorm: its class, or the function that makes it out of a BatchNorm.

    All else is read off it: the docstring, whose paragraphs stand in the house's order, is the card.
    """

    layer: Callable[..., nn.Module]

    @property
    def card(self) -> Card:
        """What the docstring says, part by part; ValueError names the parts that it says nothing of."""
        return read_card(self.layer)

    @property
    def settings(self) -> Mapping[str, inspect.Parameter]:
        """What can be said of the layer besides what it takes over, by name, with types and defaults.

        >>> from calibrate.nn import StochNorm
        >>> ", ".join(str(setting) for setting in LayerSpec(StochNorm).settings.values())
        'p: float = 0.5, published_gradient: bool = False'
        """
        parameters = inspect.signature(self.layer).parameters
        return {name: parameter for name, parameter in parameters.items() if name not in INHERITED}

    def make(self, batch_norm: _BatchNorm, **settings: Any) -> nn.Module:
        """The layer in the place of ``batch_norm``, whose parameters, statistics, options and mode it takes over."""
        make = getattr(self.layer, "from_batch_norm", self.layer)
        layer: nn.Module = make(batch_norm, **settings)
        return layer
