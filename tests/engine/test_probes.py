"""Probing steps: on the holdout half, of the network as it stands."""

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import Recipe, retrofit
from calibrate.data import split
from calibrate.diagnose import estimation_shift
from calibrate.errors import UsageError
from calibrate.stats import IterableBatches
from calibrate.steps import EstimationShift, Measure, NotApplicable, Probed, ProbeEstimationShift, Reestimate
from calibrate.surgery import find_sites
from tests.builders.networks import grouped
from tests.engine.test_retrofit import examples, trained

SHIFT = ProbeEstimationShift()


def holdout() -> torch.Tensor:
    data = examples()
    return torch.stack([data[row][0] for row in split(np.array([y for _, y in data]), 0).holdout])


def test_the_shift_is_that_of_the_holdout_half() -> None:
    summary = retrofit(trained(), Recipe(steps=[SHIFT]), data=examples(), batch_size=16).summary
    (found,) = summary.of(Probed)
    assert isinstance(found, EstimationShift)
    x, model = holdout(), trained()
    assert (found.tuned, found.images) == (False, len(x))
    assert found.layers == estimation_shift(model, IterableBatches(x.split(16), None), find_sites(model))


def test_a_probe_sees_the_network_as_it_stands_there() -> None:
    steps = [SHIFT, Reestimate(), Measure(resamples=100), SHIFT]
    before, after = retrofit(trained(), Recipe(steps=steps), data=examples()).summary.of(Probed)
    assert (before.tuned, after.tuned) == (False, True)
    assert isinstance(before, EstimationShift)
    assert isinstance(after, EstimationShift)
    assert sum(layer.mean for layer in after.layers) < sum(layer.mean for layer in before.layers)


def test_statistics_far_off_are_a_finding_and_near_ones_are_none() -> None:
    model = trained()
    assert "estimation-shift" not in codes(retrofit(model, Recipe(steps=[Reestimate(), SHIFT]), data=examples()))
    model[4].running_mean += 3 * model[4].running_var.sqrt()
    assert "estimation-shift" in codes(retrofit(model, Recipe(steps=[SHIFT]), data=examples()))


def codes(outcome: "object") -> set[str]:
    return {finding.code for finding in outcome.summary.findings}  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", [grouped(), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))])
def test_not_applicable_is_an_answer(model: nn.Module) -> None:
    summary = retrofit(model, Recipe(steps=[SHIFT]), data=examples()).summary
    (found,) = summary.of(Probed)
    assert isinstance(found, NotApplicable)


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="matches none"):
        retrofit(trained(), Recipe(steps=[ProbeEstimationShift(sites=("nowhere",))]), data=examples())
