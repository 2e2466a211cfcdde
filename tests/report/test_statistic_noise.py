"""The section of the statistic-noise probe: every number is in it, and the figures show them."""

import re

import numpy as np
import pytest

from calibrate.report.draw import svg
from calibrate.steps import NoiseCurve, StatisticNoise
from tests.samples import noise_level, statistic_noise

BLUE = "#0072b2"
TOP1 = (0.8, 0.7, 0.35)
TOGETHER = statistic_noise()
EACH = statistic_noise(
    *(
        NoiseCurve(sites=(f"layer{place}.bn",), levels=(noise_level(0.1, 0.85), noise_level(0.3, top1)))
        for place, top1 in enumerate(TOP1)
    )
)


def test_every_level_is_a_row_below_the_undisturbed_network() -> None:
    table = TOGETHER.sections()[0].table
    assert table is not None
    rows = [[row.label, *(cell.value for cell in row.cells)] for row in table.rows]
    assert rows[0] == ["undisturbed", "0", "90.00", "", "", "0.1000", "", ""]
    assert rows[1] == ["2 layers", "0.1", "80.00", "2.00", "-10.00", "0.2000", "0.0300", "+0.1000"]
    assert len(rows) == 4
    assert all(len(row) == len(table.columns) + 1 for row in rows)


def test_the_words_name_the_layers_the_rule_and_the_most_sensitive_one() -> None:
    shows, disturbed, _ = EACH.sections()[0].words
    assert "noise in layer2.bn: with noise of up to 30%, top-1 goes from 90.00 % to 35.00 %" in shows
    assert disturbed.endswith("one at a time: layer0.bn, layer1.bn, layer2.bn.")
    words = " ".join(TOGETHER.sections()[0].words)
    assert "residual blocks: a.bn, b.bn." in words
    assert "Every channel has draws of its own" in words
    shared = TOGETHER.model_copy(update={"granularity": "layer"}).sections()[0].words
    assert "share its draws" in shared[-1]


def heights(svg: str) -> list[np.ndarray]:
    """The points of each curve, panel after panel, upward; an error bar is a line of two."""
    paths = re.findall(rf'd="([^"]*)" clip-path="[^"]*" style="fill: none; stroke: {BLUE}; stroke-width: 1.2', svg)
    lines = [-np.array(re.findall(r"[ML] \S+ (\S+)", path), dtype=float) for path in paths]
    return [line for line in lines if len(line) > 2]


def drawn(found: StatisticNoise) -> str:
    section = found.sections()[0]
    assert section.figure is not None
    return svg(section.figure, "figure-0")


def test_the_curve_goes_through_the_undisturbed_network_and_every_level() -> None:
    svg = drawn(TOGETHER)
    top1, nll = heights(svg)
    expected = np.array([0.9, *TOP1])
    for curve, values in ((top1, expected), (nll, 1 - expected)):
        scaled = (curve - curve[0]) / (curve[-1] - curve[0])
        np.testing.assert_allclose(scaled, (values - values[0]) / (values[-1] - values[0]), atol=1e-3)
    assert svg == drawn(TOGETHER)
    assert 'id="figure-0-' in svg


@pytest.mark.parametrize("found", [TOGETHER, EACH])
def test_a_gap_is_left_where_the_cross_entropy_is_not_finite(found: StatisticNoise) -> None:
    levels = (*found.curves[-1].levels[:-1], noise_level(0.3, 0.1, nll=None, nll_sd=None, broken=2))
    broken = found.model_copy(
        update={"curves": (*found.curves[:-1], found.curves[-1].model_copy(update={"levels": levels}))}
    )
    assert "nan" not in drawn(broken)
    section = broken.sections()[0]
    assert "without finite logits" in section.words[0]
    assert section.table is not None
    assert [cell.value for cell in section.table.rows[-1].cells][-3:] == ["not finite", "absent", "absent"]


def test_each_layer_has_a_point_for_each_magnitude() -> None:
    svg = drawn(EACH)
    assert all(f"Δ = {delta}" in svg for delta in (0.1, 0.3))
    markers = re.findall(rf'<use xlink:href="[^"]*" x="[^"]*" y="[^"]*" style="fill: {BLUE}', svg)
    assert len(markers) >= 2 * 2 * len(EACH.curves)
