"""The layers: a row for each, nothing invented, and a figure that shows them."""

import re

import pytest

from calibrate.page.section import Section
from calibrate.report.draw import svg as drawn
from calibrate.report.layers import layers_section
from calibrate.result import Changes, LayerStatistics, SiteSummary
from tests import samples


def section(layers: tuple[LayerStatistics, ...], *sites: SiteSummary) -> Section:
    return layers_section(layers, Changes(sites=sites, temperature=1.0, temperature_folded_into=None))


def layers_over_depth(layers: tuple[LayerStatistics, ...]) -> str:
    figure = section(layers).figure
    assert figure is not None
    return drawn(figure, "layers")


def test_every_layer_is_a_row_and_what_it_has_not_is_called_absent() -> None:
    layers = samples.layers(3)
    table = section(layers).table
    assert table is not None
    assert [row.label for row in table.rows] == [layer.name for layer in layers]
    assert all(len(row.cells) == len(table.columns) for row in table.rows)
    first, second = ([f"{cell.value} {cell.interval}".strip() for cell in row.cells] for row in table.rows[:2])
    assert first == ["64", "3,136", "0.31", "0.4 [3e-09, 17.2]", "12.5", "0.71", "absent", "0.127", "none"]
    assert second == ["64", "3,136", "0.32", "0.41 [0.002, 17.2]", "0.0", "0.71", "0.314", "0.127", "0.05"]


def test_a_layer_has_its_other_names_and_its_kind_beneath() -> None:
    tied, untied = samples.sites(2)
    tied = tied.model_copy(update={"names": (*tied.names, "again\x1b.bn")})
    table = section(samples.layers(3), tied, untied).table
    assert table is not None
    assert [row.note for row in table.rows] == [r"again\x1b.bn, BatchNorm2d", "BatchNorm2d", ""]


@pytest.mark.parametrize("count", [1, 2, 160])
def test_the_figure_has_one_point_per_layer(count: int) -> None:
    layers = tuple(
        layer.model_copy(update={"variance_median": 10.0 ** (place % 2)})
        for place, layer in enumerate(samples.layers(count))
    )
    svg = layers_over_depth(layers)
    assert f"of {count} normalisation layers" in svg[: svg.index(">")]
    (curve,) = re.findall(r'd="([^"]*)" clip-path="[^"]*" style="fill: none; stroke: #0072b2[;"]', svg)
    assert len(set(re.findall(r"[ML] (\S+ \S+)", curve))) == count
    assert layers_over_depth(layers) == svg


def test_the_figure_draws_the_threshold_only_where_a_channel_is_dead_and_bears_zero_and_nothing() -> None:
    alive = tuple(layer.model_copy(update={"variance_min": 0.1}) for layer in samples.layers(4))
    assert "dead below" in layers_over_depth(samples.layers(4))
    assert "dead below" not in layers_over_depth(alive)
    zeros = {"variance_min": 0.0, "variance_median": 0.0, "variance_max": 0.0}
    nothing = dict.fromkeys((*zeros, "mean_offset", "gamma_drift", "beta_drift"))
    for values in (zeros, nothing):
        assert "svg" in layers_over_depth(tuple(layer.model_copy(update=values) for layer in alive))
