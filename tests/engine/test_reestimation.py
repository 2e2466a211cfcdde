"""The step ``reestimate``: the calibration half's statistics, measured against T alone like everything else."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import PRESETS, Preprocessing, Recipe, retrofit
from calibrate.data import Augmented, open_data, split
from calibrate.errors import DataError, ModelError
from calibrate.stats import pooled_inputs, reestimate, reestimate_
from calibrate.steps import AlphaSearch, Measure, Reestimate, Reestimation, SearchAlpha, SetAlpha, Temperature, judge
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.examples import CLASSES, calibration, examples, trained
from tests.builders.networks import Tied, grouped, warmed_up
from tests.builders.repeating import Interleaved, Unsettled
from tests.builders.runs import codes, messages
from tests.builders.states import assert_same_statistics

MEASURE = Measure(resamples=100)


@pytest.mark.parametrize(
    ("step", "arguments"),
    [
        (Reestimate(), {}),
        (Reestimate(order="batch"), {"order": "batch"}),
        (Reestimate(prior=16), {"prior": 16}),
        (Reestimate(prior=16, variant="published"), {"prior": 16, "variant": "published"}),
        (Reestimate(sites=("4",)), {"sites": ["4"]}),
    ],
)
def test_the_statistics_are_those_of_the_calibration_half(step: Reestimate, arguments: "dict[str, object]") -> None:
    outcome = retrofit(trained(), Recipe(steps=[step]), data=examples(), batch_size=16)
    expected = reestimate(trained(), calibration()[0].split(16), **arguments)
    assert_same_statistics(outcome.model, expected)
    (found,) = outcome.summary.of(Reestimation)
    assert (found.images, found.passes, outcome.summary.timings.passes) == (45, 1.0, 1.0)
    moved = {layer.name: layer for layer in found.layers}
    assert list(moved) == list(step.sites if step.sites != ("*",) else ("1", "4"))
    old, new = (model[4] for model in (trained(), expected))
    mean = ((new.running_mean - old.running_mean).abs() / (old.running_var + old.eps).sqrt()).mean()
    ratio = ((new.running_var + old.eps) / (old.running_var + old.eps)).log().abs().mean()
    assert (moved["4"].mean, moved["4"].log_variance) == pytest.approx((float(mean), float(ratio)), rel=1e-5)


def test_samples_are_drawn_by_the_seed() -> None:
    def tuned(samples: int | None, seed: int) -> nn.Module:
        return retrofit(trained(), Recipe(seed=seed, steps=[Reestimate(samples=samples)]), data=examples()).model

    assert_same_statistics(tuned(20, 0), tuned(20, 0))
    assert_same_statistics(tuned(45, 0), tuned(None, 0))
    assert not torch.equal(tuned(20, 0)[1].running_mean, tuned(20, 1)[1].running_mean)
    assert not torch.equal(tuned(20, 0)[1].running_mean, tuned(None, 0)[1].running_mean)


def test_augmentation_is_for_the_re_estimation_alone_and_the_same_in_every_pass() -> None:
    data = [(((x[0].numpy() + 4) * 25).astype(np.uint8), y) for x, y in examples()]
    shape = Preprocessing(channels=1, mean=(0.4,), std=(0.1,))
    steps = [Reestimate(augmentation="flip_crop"), Temperature(), MEASURE]
    outcome = retrofit(trained(), Recipe(seed=3, steps=steps), data=data, preprocessing=shape)
    source = open_data(data, preprocessing=shape)
    rows = split(source.labels, 3).calibration
    (seen,) = Augmented(source, 3).batches(rows, len(rows))
    assert_same_statistics(outcome.model, reestimate(trained(), seen.inputs.split(64)))
    plain = retrofit(trained(), Recipe(seed=3, steps=[Temperature(), MEASURE]), data=data, preprocessing=shape)
    assert outcome.summary.measurement is not None
    assert plain.summary.measurement is not None
    assert outcome.summary.measurement.arm("T") == plain.summary.measurement.arm("T")
    assert outcome.summary.data == plain.summary.data


def test_it_is_measured_as_tuned_against_the_temperature_alone() -> None:
    """A shift of all inputs, which new statistics undo and T cannot."""
    data = [(3 * x + 4, y) for x, y in examples()]
    summary = retrofit(trained(), PRESETS["adabn"], data=data).summary
    alone = retrofit(trained(), PRESETS["temperature"], data=data).summary
    assert summary.measurement is not None
    assert alone.measurement is not None
    assert [scores.arm for scores in summary.measurement.arms] == ["original", "T", "tuned", "tuned+T"]
    assert not any(scores.alpha for scores in summary.measurement.arms)
    assert summary.measurement.arm("T") == alone.measurement.arm("T")
    assert summary.measurement.verdict_difference == summary.measurement.difference("tuned+T", "T")
    assert (summary.verdict, summary.reasons) == judge(
        summary.measurement.difference("tuned+T", "T"), summary.data.holdout
    )
    assert summary.verdict == "improved"
    assert summary.measurement is not None
    assert summary.measurement.changes is not None
    assert (summary.measurement.changes.arm, summary.measurement.changes.baseline) == ("tuned+T", "T")


def test_re_estimated_weighed_and_with_a_temperature_in_one_recipe() -> None:
    """The search begins at the re-estimated network, and T alone stays that of the original network."""
    steps = [Reestimate(), SearchAlpha(curve=False), Temperature(), MEASURE]
    outcome = retrofit(trained(), Recipe(steps=steps), data=examples())
    alone = retrofit(trained(), Recipe(steps=[Temperature(), MEASURE]), data=examples())
    renewed = retrofit(trained(), Recipe(steps=[Reestimate(), Temperature(), MEASURE]), data=examples())
    search, measured = outcome.summary.last(AlphaSearch), outcome.summary.measurement
    assert search is not None
    assert measured is not None
    assert search.points[0].temperature == renewed.summary.changes.temperature
    assert alone.summary.measurement is not None
    assert measured.arm("T").temperature == alone.summary.measurement.arm("T").temperature
    assert measured.arm("tuned+T").alpha is (search.chosen > 0)
    assert_same_statistics(outcome.model, renewed.model)


def test_a_network_that_weighs_already_is_re_estimated_as_it_weighs() -> None:
    outcome = retrofit(trained(), Recipe(steps=[SetAlpha(alpha=0.4), Reestimate()]), data=examples(), batch_size=16)
    model = trained()
    weigh_examples_(model, find_sites(model), 0.4)
    assert_same_statistics(outcome.model, reestimate(model, calibration()[0].split(16)))
    assert not torch.equal(
        outcome.model[4].running_mean, reestimate(trained(), calibration()[0].split(16))[4].running_mean
    )


def test_what_cannot_be_done_is_said_before_the_first_pass() -> None:
    heard: list[object] = []
    with pytest.raises(DataError, match="wanted 46 samples, the calibration half has 45; lower `samples`"):
        retrofit(trained(), Recipe(steps=[Reestimate(samples=46)]), data=examples(), progress=heard.append)
    with pytest.raises(DataError, match="cannot be augmented"):
        retrofit(
            trained(), Recipe(steps=[Reestimate(augmentation="flip_crop")]), data=examples(), progress=heard.append
        )
    with pytest.raises(ModelError, match="nothing to re-estimate"):
        retrofit(warmed_up(grouped(CLASSES)), PRESETS["adabn"], data=examples(), progress=heard.append)
    assert heard == []


def test_progress_is_told_to_the_end() -> None:
    heard = []
    retrofit(trained(), Recipe(steps=[Reestimate()]), data=examples(), progress=heard.append)
    assert [(said.stage, said.done, said.total) for said in heard] == [("reestimate", 1, 2), ("reestimate", 2, 2)]


def test_a_layer_that_is_never_called_is_named() -> None:
    model = trained()
    model[4].register_module("spare", nn.BatchNorm2d(2))
    summary = retrofit(model, Recipe(steps=[Reestimate()]), data=examples()).summary
    assert [layer.name for layer in summary.of(Reestimation)[0].layers] == ["1", "4"]
    (message,) = messages(summary, "layer-idle")
    assert message.startswith("no input reaches the layer 4.spare. ")


def test_a_layer_called_several_times_is_a_finding_with_its_size_where_its_statistics_are_not_found() -> None:
    """Of that network the means are one standard deviation off, at the least."""
    summary = retrofit(Unsettled(classes=CLASSES), Recipe(steps=[Reestimate()]), data=examples()).summary
    (message,) = messages(summary, "fixed-point-missed")
    assert message.startswith("norm is called 2 times in a pass, and after 60 rounds the statistics there are not")
    assert "of norm the means are off by up to 1 standard deviations" in message
    assert message.endswith("or leave such layers out with `sites`.")
    assert summary.of(Reestimation)[0].passes == 1 + 60 + 1


@pytest.mark.parametrize("build", [Tied, Interleaved], ids=lambda build: build.__name__)
def test_a_layer_called_several_times_is_found_in_order_and_by_batch_it_is_said_how_far_it_is_off(
    build: Callable[[], nn.Module],
) -> None:
    outcome = retrofit(warmed_up(build()), Recipe(steps=[Reestimate()]), data=examples(), batch_size=16)
    assert "fixed-point-missed" not in codes(outcome.summary)
    tuned, x = outcome.model, calibration()[0]
    with pooled_inputs([site.module for site in find_sites(tuned)]) as seen, torch.no_grad():
        tuned(x)
    for layer, moments in seen.items():
        torch.testing.assert_close(layer.running_mean.double(), moments.mean, atol=1e-3, rtol=0)
        torch.testing.assert_close(layer.running_var.double(), moments.variance, atol=0, rtol=1e-3)
    by_batch = retrofit(warmed_up(build()), Recipe(steps=[Reestimate(order="batch")]), data=examples(), batch_size=16)
    (message,) = messages(by_batch.summary, "fixed-point-missed")
    found = reestimate_(warmed_up(build()), x.split(16), order="batch").repeated
    furthest = max(found.values(), key=lambda repeated: repeated.distance)
    assert f"{furthest.mean:.2g} standard deviations, the log variances by {furthest.log_variance:.2g}; take" in message
    assert (len(found) == 1) is message.startswith("norm is called 2 times in a pass, and with the order batch")
    assert by_batch.summary.of(Reestimation)[0].passes == 2
