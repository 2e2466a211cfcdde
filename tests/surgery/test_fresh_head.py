"""A fresh head: another number of outputs, under all its names, and nothing else changed."""

import torch
from torch import nn

from calibrate.surgery import renew_head_
from tests.builders.networks import Mixed, Tied, warmed_up


def test_a_tied_head_is_renewed_under_all_its_names() -> None:
    model = warmed_up(Tied())
    norm = model.get_parameter("norm.weight").clone()
    renew_head_(model, "logits", 4)
    assert model.get_submodule("head") is model.get_submodule("logits")
    assert torch.equal(model.get_parameter("norm.weight"), norm)


def test_a_convolution_can_be_the_head() -> None:
    model = warmed_up(Mixed()).half()
    renew_head_(model, "head", 7)
    head = model.get_submodule("head")
    assert isinstance(head, nn.Conv1d)
    assert (head.out_channels, head.weight.dtype, head.training) == (7, torch.float16, False)
    assert model.float()(torch.randn(2, 1, 8, 8)).shape == (2, 7)


def test_it_is_drawn_from_torchs_generator_and_keeps_having_no_bias() -> None:
    models = [nn.Sequential(nn.Linear(3, 4, bias=False)) for _ in range(2)]
    for model in models:
        torch.manual_seed(7)
        renew_head_(model, "0", 2)
    assert torch.equal(models[0][0].weight, models[1][0].weight)
    assert models[0][0].bias is None
