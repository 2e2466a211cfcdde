"""The step ``channel_health``: on the holdout half, with a finding for what is dead and for what explodes."""

import torch
from torch import nn

from calibrate import Recipe, retrofit
from calibrate.diagnose import channel_health
from calibrate.result import Summary
from calibrate.stats import IterableBatches
from calibrate.steps import ChannelHealth, ProbeChannelHealth, ProbeResult
from calibrate.surgery import find_sites
from tests.builders.examples import examples, holdout, trained
from tests.builders.networks import Mixed, warmed_up
from tests.builders.states import assert_untouched, snapshot


def probed(model: nn.Module, *sites: str) -> Summary:
    recipe = Recipe(steps=[ProbeChannelHealth(sites=sites or ("*",))])
    return retrofit(model, recipe, data=examples(), batch_size=16).summary


def test_the_health_is_that_on_the_holdout_half() -> None:
    model = trained()
    before = snapshot(model)
    summary = probed(model)
    (found,) = summary.of(ProbeResult)
    assert_untouched(model, before)
    assert isinstance(found, ChannelHealth)
    assert (found.tuned, found.images, found.left_out) == (False, 45, ())
    assert found.layers == channel_health(model, IterableBatches(holdout()[0].split(16), None), find_sites(model))
    assert not summary.findings
    assert summary.timings.passes == 1


def test_dead_and_exploding_channels_are_findings_that_name_the_worst_layer() -> None:
    model = trained()
    model[1].running_var[:2] = 0.0
    model[4].running_var[5] = 1e-7
    with torch.no_grad():
        model[1].weight[:2] = 0.0
    findings = {finding.code: finding for finding in probed(model).findings}
    assert set(findings) == {"dead-channels", "exploding-channels", "variance-too-small"}
    assert "3 of 12 channels" in findings["dead-channels"].message
    assert "layer 1 (2 of 4)" in findings["dead-channels"].message
    assert findings["dead-channels"].severity == "info"
    assert "layer 1 (2 of 4, up to" in findings["exploding-channels"].message


def test_layers_that_were_not_looked_at_are_named() -> None:
    (found,) = probed(warmed_up(Mixed()), "[ab]*", "vector").of(ProbeResult)
    assert isinstance(found, ChannelHealth)
    assert [layer.name for layer in found.layers] == ["vector"]
    assert found.left_out == ("act", "batch_only")
