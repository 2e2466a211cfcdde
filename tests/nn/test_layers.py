"""The table of layers: cards, settings, and what it costs to add one."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from calibrate.nn import LAYERS, BatchNormVariant, LayerSpec
from calibrate.nn.normalization import normalize
from calibrate.surgery import Replacement, place_
from tests.builders.commands import Ran
from tests.builders.networks import warmed_up


class ToyNorm(BatchNormVariant):
    """Batch normalisation that leaves out the centring.

    With v the batch's variance in training, the running one in inference::

        y = γ·x/√(v + eps) + β

    *Equals BatchNorm when* the mean is 0.

    *Helps when* a test needs a layer.

    *Does not help when* it does not.

    Cost: BatchNorm's.

    Limits: it is a toy.

    Reference: none.
    """

    def __init__(self, num_features: int, gain: float = 1.0, **options: Any) -> None:
        super().__init__(num_features, **options)
        self.gain = gain

    def normalized(self, x: Tensor) -> Tensor:
        mean, var = self.moments(x)
        weight, bias = self.affine_parameters(x)
        return normalize(x, torch.zeros_like(mean), var, weight * self.gain, bias, self.eps)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_a_card_and_is_named_after_what_it_makes(name: str) -> None:
    card = LAYERS[name].card
    for part in (getattr(card, field) for field in card.__slots__):
        assert part
        assert "\n\n" not in part.replace(card.formula, "")
    assert "y" in card.formula
    assert not any(line.startswith("    ") for line in card.formula.splitlines()[:1])
    if name != "InputBatchNorm":
        made = LAYERS[name].make(nn.BatchNorm2d(8), **({"ghost_size": 2} if name == "GhostBatchNorm" else {}))
        assert type(made).__name__ == name.replace("Instance", "Group", name == "InstanceNorm")


def test_a_docstring_that_lacks_a_part_is_named() -> None:
    class Terse(ToyNorm):
        """Nothing more."""

    with pytest.raises(ValueError, match="Terse says nothing of: symbols, formula, equals, helps"):
        _ = LayerSpec(Terse).card


def test_a_new_layer_takes_a_file_and_a_line_of_the_table(
    monkeypatch: pytest.MonkeyPatch, afternorm: Callable[..., Ran]
) -> None:
    monkeypatch.setitem(LAYERS, "ToyNorm", LayerSpec(ToyNorm))
    assert LAYERS["ToyNorm"].card.sentence == "Batch normalisation that leaves out the centring"
    assert LAYERS["ToyNorm"].card.symbols == "With v the batch's variance in training, the running one in inference:"
    assert LAYERS["ToyNorm"].card.formula == "y = γ·x/√(v + eps) + β"
    assert list(LAYERS["ToyNorm"].settings) == ["gain"]
    card = json.loads(afternorm("methods", "ToyNorm", "--json").out)
    assert (card["sentence"], card["limits"]) == ("Batch normalisation that leaves out the centring", "it is a toy.")
    assert card["settings"] == [{"name": "gain", "type": "float", "required": False, "default": 1.0}]
    model = warmed_up(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)))
    keys = list(model.state_dict())
    plain = model(torch.ones(2, 1, 5, 5))
    place_(model, {"1": Replacement("ToyNorm", {"gain": 2.0})})
    assert isinstance(model[1], ToyNorm)
    assert list(model.state_dict()) == keys
    norm = model[1]
    shift = norm.weight * norm.running_mean * torch.rsqrt(norm.running_var + norm.eps) - norm.bias
    expected = 2 * (plain + shift.reshape(-1, 1, 1)) + norm.bias.reshape(-1, 1, 1)
    torch.testing.assert_close(model(torch.ones(2, 1, 5, 5)), expected, rtol=1e-5, atol=1e-5)
