"""Trials: a run that recalls some of its passes ends as one that made them all."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from calibrate.data.iterable import Examples
from calibrate.engine import Outcome, carry_out, trial_key
from calibrate.nn import ExampleWeighed
from calibrate.recipe import Recipe
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.examples import examples, trained
from tests.builders.networks import Mixed, convolutional, grouped, warmed_up
from tests.builders.runs import Counted, Memory, planned

MEASURE = {"kind": "measure", "resamples": 100}
SEARCHED = Recipe(steps=[{"kind": "search_alpha", "curve": False}, {"kind": "temperature"}, MEASURE])
KNOWN = Recipe(steps=[{"kind": "set_alpha", "alpha": 0.1}, {"kind": "temperature"}, MEASURE])
NOISED = Recipe(steps=[{"kind": "statistic_noise", "deltas": [0.2, 0.4], "max_samples": 20}])
LEARNED = Recipe(
    steps=[
        {"kind": "tune_affine", "epochs": 2, "lr": 0.05, "margin": 0.0},
        {"kind": "learn_alpha", "epochs": 2, "lr": 1.0, "margin": 0.0},
        {"kind": "temperature"},
        MEASURE,
    ]
)
NETWORK = trained()
GROUPED = warmed_up(grouped())


def run(recipe: Recipe, memory: Memory | None, network: nn.Module = NETWORK) -> tuple[Outcome, int]:
    source = Counted(examples(45))
    checked = planned(network, recipe, source, batch_size=16, trials=memory)
    before = len(source.streamed)
    outcome = carry_out(network, checked, "", {})
    return outcome, len(source.streamed) - before


@pytest.mark.parametrize("recipe", [SEARCHED, KNOWN, NOISED, LEARNED])
def test_resumed_after_any_number_of_passes_it_ends_the_same(recipe: Recipe) -> None:
    whole, streamed_in_all = run(recipe, None)
    memory = Memory({}, 0)
    first, _ = run(recipe, memory)
    assert first.summary.digest == whole.summary.digest
    assert memory.after
    streamed = []
    for finished in range(len(memory.after) + 1):
        resumed_memory = Memory(memory.after, finished)
        resumed, count = run(recipe, resumed_memory)
        assert resumed.summary.digest == whole.summary.digest
        assert resumed.summary.timings.passes == whole.summary.timings.passes
        assert list(resumed_memory.after) == list(memory.after)[finished:]
        state = whole.model.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in resumed.model.state_dict().items())
        streamed.append(count)
    assert streamed[0] == streamed[1] == streamed_in_all, "the first trial is the form of the passes"
    assert all(later < earlier for earlier, later in itertools.pairwise(streamed[1:]))


def test_group_norm_s_moments_are_taken_again_from_the_network_at_work() -> None:
    whole, _ = run(SEARCHED, None, GROUPED)
    memory = Memory({}, 0)
    run(SEARCHED, memory, GROUPED)
    resumed, streamed = run(SEARCHED, Memory(memory.after, len(memory.after)), GROUPED)
    assert resumed.summary.digest == whole.summary.digest
    assert resumed.summary.timings.passes == whole.summary.timings.passes
    assert streamed > 0


def test_whatever_changes_the_logits_changes_the_key() -> None:
    model = weigh_examples_(
        warmed_up(Mixed()), [site for site in find_sites(warmed_up(Mixed())) if not site.obstacle], 0
    )
    source, other = (Examples(examples(n), name="examples", preprocessing=None) for n in (45, 44))
    chosen = (np.arange(4), np.arange(5), np.array([0, 1, 2, 4]))
    keys = {trial_key(model, source, indices) for indices in chosen}
    keys.add(trial_key(model, other, np.arange(4)))
    for module in model.modules():
        if isinstance(module, ExampleWeighed):
            module.alpha = 0.1
            keys.add(trial_key(model, source, np.arange(4)))
    keys.add(trial_key(warmed_up(convolutional()), source, np.arange(4)))
    weighed = sum(isinstance(module, ExampleWeighed) for module in model.modules())
    assert len(keys) == 4 + weighed + 1
