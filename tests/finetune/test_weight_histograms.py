"""Weight histograms: counts and variances of each layer at each record, as plain numbers."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from calibrate.errors import UsageError
from calibrate.finetune import LayerHistory, WeightHistograms
from tests.builders.networks import Tied, convolutional, warmed_up


def counted(values: np.ndarray[Any, Any], low: float, high: float, bins: int) -> list[int]:
    """Weight by weight: the bin it lies in, or the outermost one on its side."""
    counts = [0] * bins
    for value in values.ravel():
        place = int(np.floor((value - low) / (high - low) * bins))
        counts[min(max(place, 0), bins - 1)] += 1
    return counts


@pytest.mark.parametrize("build", [convolutional, Tied])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_each_record_counts_every_weight_once(build: Any, dtype: torch.dtype) -> None:
    model = warmed_up(build()).to(dtype)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    histograms = WeightHistograms(model, bins=7)
    records = [{name: layer.weight.detach().double().numpy().copy() for name, layer in layers.items()}]
    for growth in (1.25, 3.0):  # within the bins, and beyond them
        with torch.no_grad():
            for layer in layers.values():
                layer.weight.mul_(growth).add_(0.01)
        histograms.record()
        records.append({name: layer.weight.detach().double().numpy().copy() for name, layer in layers.items()})
    assert list(histograms.layers) == list(layers)
    for name, history in histograms.layers.items():
        largest = np.abs(records[0][name]).max()
        assert (history.low, history.high) == pytest.approx((-1.5 * largest, 1.5 * largest))
        weights = [record[name] for record in records]
        assert history.counts == [counted(weight, history.low, history.high, 7) for weight in weights]
        np.testing.assert_allclose(history.variances, [weight.var() for weight in weights], rtol=1e-9)
        np.testing.assert_allclose(
            history.variance_differences, np.diff([weight.var() for weight in weights]), rtol=1e-9
        )


def test_the_state_is_plain_numbers_and_goes_on_where_it_was() -> None:
    model = warmed_up(convolutional())
    unbroken, broken = WeightHistograms(model), WeightHistograms(model)
    state = json.loads(json.dumps(broken.state_dict()))
    with torch.no_grad():
        model[0].weight.mul_(5.0)
    unbroken.record()
    resumed = WeightHistograms(model)  # whose bins would be wider
    resumed.load_state_dict(state)
    resumed.record()
    assert resumed.state_dict() == unbroken.state_dict()
    assert [len(counts) for counts in resumed.layers["0"].counts] == [40, 40]


def test_arms_that_start_alike_are_compared_and_others_refused() -> None:
    model = warmed_up(convolutional())
    one, other = WeightHistograms(model, bins=4), WeightHistograms(model, bins=4)
    with torch.no_grad():
        model[0].weight.zero_()
    one.record()
    assert one.layers["0"].minus(other.layers["0"]) == [[0, 0, 0, 0]]
    other.record()
    assert one.layers["0"].minus(other.layers["0"]) == [[0, 0, 0, 0]] * 2
    with pytest.raises(UsageError, match="compare arms that start from the same weights"):
        one.layers["0"].minus(LayerHistory(-9.0, 9.0))


def test_a_layer_of_zeros_has_bins_all_the_same() -> None:
    model = nn.Linear(3, 2)
    nn.init.zeros_(model.weight)
    history = WeightHistograms(model, bins=2).layers[""]
    assert (history.low, history.high, history.counts) == (-1.0, 1.0, [[0, 6]])


def test_no_bins_are_refused() -> None:
    with pytest.raises(UsageError, match="bins is 0"):
        WeightHistograms(convolutional(), bins=0)
