"""Probing steps: on the holdout half, of the network as it stands."""

import pytest
from torch import nn

from calibrate import Recipe, retrofit
from calibrate.diagnose import estimation_shift
from calibrate.errors import UsageError
from calibrate.recipe import Step
from calibrate.stats import IterableBatches
from calibrate.steps import (
    EstimationShift,
    Measure,
    NotApplicable,
    ProbeChannelHealth,
    ProbeEstimationShift,
    ProbeOutputBound,
    ProbeResult,
    ProbeStatisticNoise,
    Reestimate,
)
from calibrate.surgery import find_sites
from tests.builders.examples import examples, holdout, trained
from tests.builders.networks import grouped
from tests.builders.runs import codes

SHIFT = ProbeEstimationShift()


def test_the_shift_is_that_of_the_holdout_half() -> None:
    summary = retrofit(trained(), Recipe(steps=[SHIFT]), data=examples(), batch_size=16).summary
    (found,) = summary.of(ProbeResult)
    assert isinstance(found, EstimationShift)
    (x, _), model = holdout(), trained()
    assert (found.tuned, found.images) == (False, len(x))
    assert found.layers == estimation_shift(model, IterableBatches(x.split(16), None), find_sites(model))


def test_a_probe_sees_the_network_as_it_stands_there() -> None:
    steps = [SHIFT, Reestimate(), Measure(resamples=100), SHIFT]
    before, after = retrofit(trained(), Recipe(steps=steps), data=examples()).summary.of(ProbeResult)
    assert (before.tuned, after.tuned) == (False, True)
    assert isinstance(before, EstimationShift)
    assert isinstance(after, EstimationShift)
    assert sum(layer.mean for layer in after.layers) < sum(layer.mean for layer in before.layers)


def test_statistics_far_off_are_a_finding_and_near_ones_are_none() -> None:
    model = trained()
    assert "estimation-shift" not in codes(
        retrofit(model, Recipe(steps=[Reestimate(), SHIFT]), data=examples()).summary
    )
    model[4].running_mean += 3 * model[4].running_var.sqrt()
    assert "estimation-shift" in codes(retrofit(model, Recipe(steps=[SHIFT]), data=examples()).summary)


#: Those that look at normalisation layers.
PROBES = (ProbeEstimationShift, ProbeChannelHealth, ProbeOutputBound, ProbeStatisticNoise)


@pytest.mark.parametrize("model", [grouped(), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))], ids=["group", "none"])
@pytest.mark.parametrize("probe", PROBES)
def test_not_applicable_is_an_answer(probe: type[Step], model: nn.Module) -> None:
    (found,) = retrofit(model, Recipe(steps=[probe()]), data=examples()).summary.of(ProbeResult)
    assert isinstance(found, NotApplicable)
    assert found.probe == probe().kind


@pytest.mark.parametrize("probe", PROBES)
def test_a_pattern_that_matches_nothing_is_refused(probe: type[Step]) -> None:
    with pytest.raises(UsageError, match="matches none"):
        retrofit(trained(), Recipe(steps=[probe(sites=("nowhere",))]), data=examples())
