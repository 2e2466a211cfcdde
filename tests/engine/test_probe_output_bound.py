"""The step ``output_bound``: batches as training draws them, the network as it stands, and what is said of it."""

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import Recipe, retrofit
from calibrate.data import open_data
from calibrate.diagnose import output_bound
from calibrate.engine.passes.batches import RandomBatches
from calibrate.engine.passes.setting import PassForm, Setting
from calibrate.result import Summary, silent
from calibrate.stats import IterableBatches
from calibrate.steps import NotApplicable, OutputBound, ProbeOutputBound, ProbeResult, SetAlpha
from calibrate.surgery import find_sites
from tests.builders.examples import examples, holdout, trained
from tests.builders.networks import Mixed, grouped, warmed_up
from tests.builders.runs import codes, messages
from tests.builders.states import assert_untouched, snapshot


def probed(model: nn.Module, *steps: object, seed: int = 0) -> Summary:
    return retrofit(model, Recipe(steps=steps, seed=seed), data=examples(), batch_size=16).summary  # type: ignore[arg-type]


def test_batches_are_random_each_example_is_in_one_and_only_whole_ones_train() -> None:
    model = trained()
    before = snapshot(model)
    (found,) = probed(model, ProbeOutputBound(train_batch_size=8)).of(ProbeResult)
    assert_untouched(model, before)
    x, _ = holdout()
    drawn = x[torch.from_numpy(np.random.Generator(np.random.PCG64(0)).permutation(len(x)))]
    assert isinstance(found, OutputBound)
    assert (found.tuned, found.images, found.training_images) == (False, 45, 40)
    expected = output_bound(model, IterableBatches(drawn.split(8), None), find_sites(model), 8)
    for layer, other in zip(found.layers, expected, strict=True):
        assert layer.training == pytest.approx(other.training)
        assert layer.inference == pytest.approx(other.inference)
    (again,), (other_seed,) = (
        probed(model, ProbeOutputBound(train_batch_size=8), seed=seed).of(ProbeResult) for seed in (0, 1)
    )
    assert again == found
    assert isinstance(other_seed, OutputBound)
    assert other_seed.layers[0].training != found.layers[0].training


def test_random_batches_mix_what_lies_sorted() -> None:
    data = open_data([(torch.full((1,), float(i)), i // 50) for i in range(100)], preprocessing=None)
    setting = Setting(PassForm(4, 1), torch.device("cpu"), silent)
    batches = list(RandomBatches(data, np.arange(5, 100), setting, torch.float32, 3, 20).after(0))
    assert [first for first, _ in batches] == [0, 20, 40, 60, 80]
    assert [len(x) for _, x in batches] == [20, 20, 20, 20, 15]
    assert sorted(float(value) for _, x in batches for value in x) == list(range(5, 100))
    assert all(5 <= int((x < 50).sum()) <= 15 for _, x in batches)


def test_with_few_data_only_inference_is_seen() -> None:
    summary = probed(trained(), ProbeOutputBound())
    (found,) = summary.of(ProbeResult)
    assert isinstance(found, OutputBound)
    assert (found.training_images, [layer.training for layer in found.layers]) == (0, [None, None])


def test_values_that_training_cannot_give_are_a_finding_and_examples_that_weigh_in_bring_them_back() -> None:
    model = trained()
    code = "output-out-of-bound"
    assert code not in codes(probed(model, ProbeOutputBound()))
    model[4].running_var *= 1e-4
    summary = probed(
        model, ProbeOutputBound(train_batch_size=2), SetAlpha(alpha=0.5), ProbeOutputBound(train_batch_size=2)
    )
    (message,) = messages(summary, code)
    plain, weighed = summary.of(ProbeResult)
    assert isinstance(plain, OutputBound)
    assert isinstance(weighed, OutputBound)
    assert plain.layers[1].outside > 1e-3
    assert "layer 4" in message
    assert f"{100 * plain.layers[1].outside:.2g} %" in message
    assert (plain.tuned, weighed.tuned) == (False, True)
    assert weighed.layers[1].outside < plain.layers[1].outside


def test_layers_without_such_a_bound_are_named() -> None:
    (found,) = probed(warmed_up(Mixed()), ProbeOutputBound(train_batch_size=5, sites=("[mabp]*",))).of(ProbeResult)
    assert isinstance(found, OutputBound)
    assert [layer.name for layer in found.layers] == ["maps", "point"]
    assert found.left_out == ("act", "batch_only")


@pytest.mark.parametrize(
    ("model", "size", "why"),
    [(grouped(), 8, "none of the matching layers"), (warmed_up(Mixed()), 1, "the layer point one element")],
)
def test_what_it_does_not_apply_to_is_told_why(model: nn.Module, size: int, why: str) -> None:
    (found,) = probed(model, ProbeOutputBound(train_batch_size=size)).of(ProbeResult)
    assert isinstance(found, NotApplicable)
    assert why in found.reason


def test_single_images_train_layers_that_see_maps() -> None:
    (found,) = probed(trained(), ProbeOutputBound(train_batch_size=1)).of(ProbeResult)
    assert isinstance(found, OutputBound)
    assert [layer.elements for layer in found.layers] == [64, 9]
