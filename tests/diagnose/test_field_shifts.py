"""Shift from a reference, against float64 numpy, over awkward networks; and how often chance leaves the band."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.diagnose import chance_bands, example_moments, reference_layers, shift_from
from calibrate.diagnose.field_shifts import RESAMPLES, WITHIN
from calibrate.result import ReferenceLayer
from calibrate.stats import IterableBatches
from calibrate.surgery import find_sites, keeping_statistics
from tests.builders.networks import Tied, Volumes, convolutional, frozen, half_grouped, vectors, warmed_up


def inputs(n: int = 40, seed: int = 0) -> Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) + 0.3


def seen_by(model: nn.Module, x: Tensor) -> dict[str, list[NDArray[np.float64]]]:
    """What comes into each layer, call by call, (N, C, positions) in float64; all of ``x`` at once."""
    seen: dict[str, list[NDArray[np.float64]]] = {}
    hooks = [
        site.module.register_forward_pre_hook(
            lambda _, given, name=site.name: seen.setdefault(name, []).append(
                given[0].double().numpy().reshape(len(given[0]), given[0].shape[1], -1)
            )
        )
        for site in keeping_statistics(find_sites(model))
    ]
    with torch.inference_mode():
        model(x)
    for hook in hooks:
        hook.remove()
    return seen


def expected(model: nn.Module, old: Tensor, new: Tensor) -> tuple[dict[str, float], float]:
    """The shift of each layer and the misfit of the first, by their definition."""
    before, after = seen_by(model, old), seen_by(model, new)
    eps = {site.name: site.module.eps for site in find_sites(model)}
    shifts, misfits = {}, []
    for name in before:
        (m0, v0), (m, v) = (
            (np.concatenate(calls, 2).mean((0, 2)), np.concatenate(calls, 2).var((0, 2)))
            for calls in (before[name], after[name])
        )
        squares = (m - m0) ** 2 + (np.sqrt(v) - np.sqrt(v0)) ** 2
        shifts[name] = float(np.sqrt((squares / (v0 + eps[name])).mean()))
        live = v0 > 1e-3 * np.quantile(v0, 0.75)
        ratio = v[live] / v0[live]
        misfits.append(float((0.5 * (ratio - 1 - np.log(ratio) + (m - m0)[live] ** 2 / v0[live])).mean()))
    return shifts, misfits[0]


def found(model: nn.Module, old: Tensor, new: Tensor, size: int = 16) -> tuple[dict[str, float], float]:
    sites = find_sites(model)
    layers = reference_layers(example_moments(model, IterableBatches(old.split(size), None), sites))
    shift = shift_from(layers, example_moments(model, IterableBatches(new.split(size), None), sites))
    assert shift is not None
    return dict(shift.layers), shift.misfit


NETWORKS = {
    "batch norm": convolutional,
    "called twice": Tied,
    "vectors": vectors,
    "frozen": frozen,
    "lines and boxes": Volumes,
    "beside group norm": half_grouped,
}


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_both_numbers_are_those_of_their_definition(build: type[nn.Module]) -> None:
    model = warmed_up(build())
    old, new = inputs(), 1.3 * inputs(50, seed=1) - 0.2
    shifts, misfit = expected(model, old, new)
    ours, our_misfit = found(model, old, new)
    assert ours == pytest.approx(shifts, rel=1e-5)
    assert our_misfit == pytest.approx(misfit, rel=1e-5)


def test_half_precision_loses_only_what_the_inputs_of_the_layers_lost() -> None:
    model, old, new = warmed_up(convolutional()).half(), inputs().half(), (1.3 * inputs(50, seed=1)).half()
    shifts, misfit = expected(model, old, new)
    ours, our_misfit = found(model, old, new, size=50)
    assert ours == pytest.approx(shifts, rel=1e-6)
    assert our_misfit == pytest.approx(misfit, rel=1e-6)


def test_no_digits_are_lost_far_from_zero() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2)).double().eval()
    old, new = inputs().double() + 1e6, inputs(50, seed=1).double() * 1.1 + 1e6
    shifts, misfit = expected(model, old, new)
    ours, our_misfit = found(model, old, new)
    assert ours == pytest.approx(shifts, rel=1e-8)
    assert our_misfit == pytest.approx(misfit, rel=1e-8)


def test_the_same_data_have_no_shift_in_whatever_batches() -> None:
    model, x = warmed_up(convolutional()), inputs()
    shifts, misfit = found(model, x, x.flip(0), size=7)
    assert max(shifts.values()) == pytest.approx(0, abs=1e-6)
    assert misfit == pytest.approx(0, abs=1e-6)


class InPatches(nn.Module):
    """A layer whose inputs are patches, four for each example, and one that takes them together."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.whole, self.head = nn.BatchNorm2d(1), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.patches(x.unfold(2, 4, 4).unfold(3, 4, 4).reshape(-1, 1, 4, 4))
        return self.head(self.whole(parts.mean((1, 2, 3)).view(-1, 4)))


def test_a_layer_whose_inputs_are_not_examples_is_left_out() -> None:
    model = InPatches().eval()
    moments = example_moments(model, IterableBatches(inputs().split(16), None), find_sites(model))
    assert [*moments] == ["whole"]


def test_a_layer_that_is_not_finite_has_no_place_in_a_reference_and_is_shifted_by_the_largest_number() -> None:
    model = warmed_up(convolutional())
    model[1].running_mean.fill_(torch.nan)
    moments = example_moments(model, IterableBatches(inputs().split(16), None), find_sites(model))
    assert [layer.name for layer in reference_layers(moments)] == ["1"]
    layers = tuple(ReferenceLayer(name=name, mean=(0.0,) * n, deviation=(1.0,) * n) for name, n in (("1", 4), ("4", 8)))
    shift = shift_from(layers, moments)
    assert shift is not None
    assert (shift.layers["4"], shift.layers["1"] < 10) == (1e9, True)
    assert shift_from((layers[0].model_copy(update={"name": "other"}),), moments) is None


def test_resamples_leave_the_band_as_often_as_it_says() -> None:
    """Pairs drawn by other code: the share beyond either limit, over all sizes."""
    model, x = warmed_up(convolutional()), inputs(60)
    moments = example_moments(model, IterableBatches(x.split(30), None), find_sites(model))
    bands = chance_bands(moments, (16, 60), seed=3)
    rng, draws = np.random.default_rng(11), 3000
    seen = {name: calls[0] for name, calls in seen_by(model, x).items()}
    eps = {site.name: site.module.eps for site in find_sites(model)}
    for band in bands:
        beyond = np.zeros(2)
        for _ in range(draws):
            few, many = rng.integers(0, 60, band.examples), rng.integers(0, 60, 60)
            shifts = []
            for place, (name, values) in enumerate(seen.items()):
                m, v, m0, v0 = (getattr(values[rows], what)((0, 2)) for rows in (few, many) for what in ("mean", "var"))
                unit = values.var((0, 2)) + eps[name]
                shifts.append(np.sqrt((((m - m0) ** 2 + (v**0.5 - v0**0.5) ** 2) / unit).mean()))
                if place == 0:
                    misfit = (0.5 * (v / v0 - 1 - np.log(v / v0) + (m - m0) ** 2 / v0)).mean()
            beyond += [np.mean(shifts) > band.shift, misfit > band.misfit]
        # The limit is itself from 1,000 resamples, of which 2 lie beyond it: 3,000 draws have 6 beyond, with a standard
        # deviation of √(6 + 6²/2) = 4.9.
        assert pytest.approx(2) == RESAMPLES * (1 - WITHIN)
        assert (beyond <= 6 + 4 * 4.9).all()
    assert bands[0].shift > bands[1].shift > 0
    assert bands[0].misfit > bands[1].misfit > 0


def test_bands_depend_on_the_seed_alone_and_are_seen_to_be_wide_enough_for_fresh_data() -> None:
    model = warmed_up(convolutional())
    sites = find_sites(model)
    moments = example_moments(model, IterableBatches(inputs(64).split(32), None), sites)
    (band,) = chance_bands(moments, (32,), seed=0)
    assert chance_bands(moments, (32,), seed=0) == (band,)
    assert chance_bands(moments, (32,), seed=1) != (band,)
    layers = reference_layers(moments)
    shifted = []
    for seed in range(1, 61):
        for scale in (1.0, 1.5):
            fresh = example_moments(model, IterableBatches([scale * inputs(32, seed)], None), sites)
            shift = shift_from(layers, fresh)
            assert shift is not None
            shifted.append(shift.mean > band.shift or shift.misfit > band.misfit)
    assert sum(shifted[::2]) <= 3
    assert all(shifted[1::2])
