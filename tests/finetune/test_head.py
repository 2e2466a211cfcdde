"""The head: the last linear layer, whatever its type."""

import pytest
from torch import nn

from calibrate.errors import ModelError
from calibrate.finetune import find_head, head_parameters
from tests.builders.networks import Mixed, Tied, Wrapped, convolutional


@pytest.mark.parametrize(
    ("model", "head"), [(convolutional(), "8"), (Tied(), "head"), (Mixed(), "head"), (Wrapped(), "model.8")]
)
def test_the_last_linear_layer_is_found(model: nn.Module, head: str) -> None:
    assert find_head(model) == head
    assert [p.shape for p in head_parameters(model, [head]).values()] == [
        p.shape for p in model.get_submodule(head).parameters()
    ]


def test_a_network_without_one_is_refused() -> None:
    with pytest.raises(ModelError, match="no linear layer that could be its head"):
        find_head(nn.Sequential(nn.BatchNorm1d(3)))
