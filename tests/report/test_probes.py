"""The sections of the output bound and of channel health: every layer a row, every figure true to it."""

import re

import pytest

from calibrate.report.draw import svg
from calibrate.steps import ChannelHealth, OutputBound, StepResult
from tests import samples
from tests.report.reading import read


def tables(result: StepResult) -> list[list[str]]:
    (section,) = result.sections()
    assert section.table is not None
    assert all(len(row.cells) == len(section.table.columns) for row in section.table.rows)
    return [[row.label, *(f"{cell.value} {cell.interval}".strip() for cell in row.cells)] for row in section.table.rows]


def bound_over_depth(result: OutputBound, place: int) -> str:
    return drawn(result, place)


def health_over_depth(result: ChannelHealth, place: int) -> str:
    return drawn(result, place)


def drawn(result: StepResult, place: int) -> str:
    """The figure of the result's one section; nothing where it has none."""
    (section,) = result.sections()
    return svg(section.figure, f"probe-{place}") if section.figure else ""


def points(svg: str, colour: str) -> list[list[str]]:
    paths = re.findall(rf'd="([^"]*)" clip-path="[^"]*" style="fill: none; stroke: {colour}[;"]', svg)
    return [sorted(set(re.findall(r"[ML] (\S+ \S+)", path))) for path in paths]


def zigzag(bound: OutputBound) -> OutputBound:
    """Lines of which no point lies between its neighbours, so that all of them are drawn."""
    layers = tuple(
        layer.model_copy(
            update={
                "training": (-3.0 - place % 2, 1.0),
                "inference": (-2.0, 5.0 + place % 2),
                "outside": 0.1 + 0.1 * (place % 2),
            }
        )
        for place, layer in enumerate(bound.layers)
    )
    return bound.model_copy(update={"layers": layers})


def without_numbers(bound: OutputBound) -> OutputBound:
    nothing = {"training": None, "inference": None, "sufficient_batch": None, "bound": 0.0}
    return bound.model_copy(update={"layers": tuple(layer.model_copy(update=nothing) for layer in bound.layers)})


def test_the_bound_is_a_row_for_each_layer() -> None:
    found = tables(samples.output_bound(2))
    assert found[0] == ["bn0", "128", "11.3", "-2.25 to 2.5", "-3.25 to 4.5", "0", "0 of 16", "21"]
    assert found[1] == ["bn1", "32", "5.57", "-3.25 to 2.5", "-3.25 to 5.5", "12", "3 of 16", "22"]
    absent = tables(without_numbers(samples.output_bound(1)))
    assert absent == [["bn0", "32", "0", "absent", "absent", "12", "3 of 16", "absent"]]


def test_health_is_a_row_for_each_layer() -> None:
    found = tables(samples.channel_health(2))
    assert found[1] == ["bn1", "16", "1", "2", "3", "4", "1.6", "13.8", "0.5 [0.0625, 3]"]
    nothing = {"pruned": None, "furthest": None, "gradient_factor": None}
    (layer,) = samples.channel_health(1).layers
    bare = samples.channel_health(1).model_copy(update={"layers": (layer.model_copy(update=nothing),)})
    assert tables(bare) == [["bn0", "16", "1", "2", "absent", "4", "1.6", "absent", "absent"]]


def test_what_shows_is_said_in_every_format() -> None:
    for seen in read(samples.unmeasured(samples.output_bound(3), samples.channel_health(3))).values():
        words = seen.words
        assert "1 of 3 layers put out values that no training batch of 8 can give, most of them bn2: 12 %" in words
        assert "Of 48 channels in 3 layers, 3 are dead, 6 silent, 9 pruned and 12 exploding." in words
        assert words.count("Left out: 1 layer (frozen)") == 2
        assert "Output bound of the original network" in words
        assert "Channel health of the tuned network" in words


@pytest.mark.parametrize("count", [1, 2, 160])
def test_the_figures_have_one_point_per_layer_and_repeat_to_the_byte(count: int) -> None:
    bound, health = zigzag(samples.output_bound(count)), samples.channel_health(count)
    layers = tuple(
        layer.model_copy(update={"gradient_factor": factor.model_copy(update={"median": 10.0 ** (place % 2)})})
        for place, layer in enumerate(health.layers)
        if (factor := layer.gradient_factor) is not None
    )
    health = health.model_copy(update={"layers": layers})
    drawn = bound_over_depth(bound, 7), health_over_depth(health, 8)
    inference, shares = points(drawn[0], "#d55e00")
    assert len(inference) == len(shares) == count
    assert [len(line) for line in points(drawn[0], "#0072b2")] == [count]
    assert [len(line) for line in points(drawn[1], "#0072b2")] == [count]
    assert drawn == (bound_over_depth(bound, 7), health_over_depth(health, 8))
    assert 'id="probe-7-' in drawn[0]
    assert 'id="probe-8-' in drawn[1]


def test_a_share_is_drawn_only_where_there_is_one() -> None:
    bound = samples.output_bound(3)
    inside = tuple(layer.model_copy(update={"outside": 0.0}) for layer in bound.layers)
    assert "outside (%)" in bound_over_depth(bound, 0)
    assert "outside (%)" not in bound_over_depth(bound.model_copy(update={"layers": inside}), 0)


def test_bars_are_the_channels_of_all_layers() -> None:
    svg = health_over_depth(samples.channel_health(4), 0)
    for colour, counts in (("#d55e00", [40, 24]), ("#009e73", [36, 28])):
        paths = re.findall(rf'd="([^"]*)" clip-path="[^"]*" style="fill: {colour}[;"]', svg)
        edges = [[float(y) for y in re.findall(r"[ML] \S+ (\S+)", path)] for path in paths]
        heights = [max(ys) - min(ys) for ys in edges]
        filled = [height for height in heights if height > 1e-6]
        assert len(heights) == 15
        assert [height / filled[0] for height in filled] == pytest.approx([count / counts[0] for count in counts], 1e-3)


def test_nothing_to_draw_is_drawn_as_nothing() -> None:
    bare = without_numbers(samples.output_bound(2))
    assert "<svg" in bound_over_depth(bare, 0)
    layers = tuple(
        layer.model_copy(update={"gamma_drift": None, "beta_drift": None, "gradient_factor": None})
        for layer in samples.channel_health(2).layers
    )
    health = samples.channel_health(2).model_copy(update={"layers": layers})
    assert "<svg" in health_over_depth(health, 0)
    empty: tuple[OutputBound | ChannelHealth, ...] = (
        bare.model_copy(update={"layers": ()}),
        health.model_copy(update={"layers": ()}),
    )
    assert all(section.figure is None for result in empty for section in result.sections())
