"""What is known of a layer besides its code: its card, its settings, and how it takes the place of BatchNorm."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.nn.batch_norm_variant import BatchNormOptions
from calibrate.recipe import Card

#: Arguments that the replaced layer decides: size, home, and BatchNorm's options.
INHERITED = {"num_features", "num_channels", "batch_norm", "options", *BatchNormOptions.__annotations__}


#: How the paragraph of a docstring begins that holds each part of the card.
PARAGRAPHS = {
    "equals": "*Equals BatchNorm when*",
    "helps": "*Helps when*",
    "does_not_help": "*Does not help when*",
    "cost": "Cost:",
    "limits": "Limits:",
    "reference": "Reference:",
}


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A layer that can take the place of BatchNorm: its class, or the function that makes it out of a BatchNorm.

    All else is read off it: the docstring, whose paragraphs stand in the house's order, is the card.
    """

    layer: Callable[..., nn.Module]

    @property
    def card(self) -> Card:
        """What the docstring says, part by part; ValueError names the parts that it says nothing of."""
        text = inspect.getdoc(self.layer) or ""
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        formula = re.search(r"\n\n([^\n]+(?:\n[^\n]+)*:):\n\n((?:(?:    .*)?\n)+)", text)
        symbols, lines = (" ".join(formula[1].split()), inspect.cleandoc("\n" + formula[2])) if formula else ("", "")
        parts = {
            name: next((p.removeprefix(start).strip() for p in paragraphs if p.startswith(start)), "")
            for name, start in PARAGRAPHS.items()
        }
        card = Card(paragraphs[0], symbols, lines, **parts)
        missing = [field.name for field in fields(card) if not getattr(card, field.name)]
        if missing:
            raise ValueError(f"the docstring of {self.layer.__name__} says nothing of: {', '.join(missing)}")
        return card

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
