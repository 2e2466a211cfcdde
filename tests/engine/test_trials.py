"""Trials: a run that recalls some of its passes ends as one that made them all."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.data import Batch
from calibrate.data.iterable import Examples
from calibrate.engine import Outcome, Plan, carry_out, plan, trial_key
from calibrate.nn import ExampleWeighed
from calibrate.recipe import Recipe
from calibrate.result import silent
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.networks import Mixed, convolutional, grouped, warmed_up
from tests.engine.test_retrofit import examples, trained

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


class Memory:
    """Trials in a dictionary, of which the first ``finished`` are there."""

    def __init__(self, kept: dict[str, Tensor], finished: int) -> None:
        self.before = dict(list(kept.items())[:finished])
        self.after: dict[str, Tensor] = {}

    def recall(self, key: str) -> Tensor | None:
        return self.before.get(key)

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        assert key not in self.before
        self.after[key] = logits.clone()


class Counted(Examples):
    """Counts the examples that are streamed."""

    streamed = 0

    def batches(self, indices: np.ndarray, batch_size: int) -> Iterator[Batch]:
        self.streamed += len(indices)
        return super().batches(indices, batch_size)


def planned(network: nn.Module, recipe: Recipe, source: Examples) -> Plan:
    return plan(
        network,
        recipe,
        data=source,
        preprocessing=None,
        classes=None,
        batch_size=16,
        device="cpu",
        progress=silent,
    )


def run(recipe: Recipe, memory: Memory | None, network: nn.Module = NETWORK) -> tuple[Outcome, int]:
    source = Counted(examples(45), name="examples", preprocessing=None)
    checked = planned(network, recipe, source)
    before = source.streamed
    outcome = carry_out(network, checked, "", {}, memory)
    return outcome, source.streamed - before


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
    assert streamed[0] == streamed_in_all
    assert all(later < earlier for earlier, later in itertools.pairwise(streamed))


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
