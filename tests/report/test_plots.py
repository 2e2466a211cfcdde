"""The figures: they show the data, mark the choices, repeat to the byte and leave matplotlib as it was."""

import re

import matplotlib
import numpy as np
import pytest

from calibrate.report.draw import drawing_style
from calibrate.report.draw import svg as drawn
from calibrate.steps import AlphaSearch, CurvePoint, Measurement, StepResult
from tests import samples

BLUE = "#0072b2"


def alpha_curve(search: AlphaSearch) -> str:
    return figure_of(search, "Search for α")


def reliability(measurement: Measurement) -> str:
    return figure_of(measurement, "Reliability")


def figure_of(result: StepResult, title: str) -> str:
    """The figure of the result's section of that title."""
    (figure,) = (section.figure for section in result.sections() if section.title == title)
    assert figure is not None
    return drawn(figure, "figure-0")


def lines(svg: str, colour: str) -> list[np.ndarray]:
    """The points of each curve drawn in ``colour``, in the figure's coordinates."""
    paths = re.findall(rf'd="([^"]*)" clip-path="[^"]*" style="fill: none; stroke: {colour}[;"]', svg)
    return [np.array(re.findall(r"[ML] (\S+) (\S+)", path), dtype=float) for path in paths]


def bars(svg: str, colour: str) -> np.ndarray:
    """The heights of the bars filled with ``colour``."""
    paths = re.findall(rf'd="([^"]*)" clip-path="[^"]*" style="fill: {colour}[;"]', svg)
    corners = [np.array(re.findall(r"[ML] (\S+) (\S+)", path), dtype=float) for path in paths]
    return np.array([np.ptp(corner[:, 1]) for corner in corners])


def searched(*alphas: float, **changed: object) -> AlphaSearch:
    points = tuple(
        CurvePoint(alpha=alpha, temperature=1.1, nll=1.0 - alpha, nll_after_temperature=0.9 + alpha**2, top1=0.75)
        for alpha in alphas
    )
    return samples.search().model_copy(update={"points": points, "chosen": alphas[-1], **changed})


def test_the_curve_has_one_point_per_alpha_at_heights_that_follow_the_nll() -> None:
    search = searched(0.0, 0.005, 0.01, 0.03, 0.1, best_by_nll=0.0, best_by_top1=0.0)
    (curve,) = lines(alpha_curve(search), BLUE)
    heights = [point.nll_after_temperature for point in search.points]
    assert len(curve) == len(search.points)
    assert (np.diff(curve[:, 0]) > 20).all()
    np.testing.assert_allclose(
        (curve[0, 1] - curve[:, 1]) / (curve[0, 1] - curve[-1, 1]),
        (np.array(heights) - heights[0]) / (heights[-1] - heights[0]),
        atol=1e-3,
    )


def test_optima_and_choice_are_named_in_the_figure_and_for_screen_readers() -> None:
    svg = alpha_curve(samples.search().model_copy(update={"chosen": 0.0625}))
    shown = re.findall(r">([^<>]+)</text>", svg)
    for words in ("chosen: α = 0.0625", "best by NLL after T: α = 0.05", "best by top-1: α = 0.025", "NLL (nats)"):
        assert words in shown
    opening = svg[: svg.index(">")]
    assert opening.startswith('<svg role="img" aria-label="')
    assert "chosen α 0.0625" in opening


def test_the_choice_is_marked_where_the_curve_has_it() -> None:
    svg = alpha_curve(samples.search())
    (curve,) = lines(svg, BLUE)
    marks = lines(svg, "#d55e00")
    assert len(marks) == 2
    for mark in marks:
        np.testing.assert_allclose(mark[:, 0], curve[samples.ALPHAS.index(0.05), 0], atol=1e-3)


def test_a_curve_is_drawn_with_its_points_and_bands_and_the_true_points_stay_marked() -> None:
    bare = samples.search()
    curve = tuple(
        bare.points[0].model_copy(
            update={"alpha": 0.5 * (i / 40) ** 2, "nll_band": (0.92, 0.93), "top1_band": (0.7, 0.8)}
        )
        for i in range(41)
    )
    without, svg = alpha_curve(bare), alpha_curve(bare.model_copy(update={"curve": curve}))
    assert [len(line) for line in lines(svg, BLUE)] == [41]
    assert [len(line) for line in lines(without, BLUE)] == [len(bare.points)]
    assert svg.count("95 % of the difference from α = 0</text>") == 2
    assert "95 % of the difference" not in without
    marks = [len(re.findall(f'<use [^>]*style="[^"]*fill: {BLUE}', drawn)) for drawn in (svg, without)]
    assert marks[0] >= marks[1] - 1 >= len(bare.points)


def test_far_worse_points_do_not_flatten_the_optimum_and_the_cut_is_said() -> None:
    near, far = (searched(0.0, 0.01, 0.02, 0.1, last, best_by_nll=0.0, best_by_top1=0.0) for last in (0.2, 0.9))
    assert "the curves go on above" not in alpha_curve(near)
    assert "the curves go on above" in alpha_curve(far)


@pytest.mark.parametrize("alphas", [(0.0,), (0.0, 1e-5), (0.0, 1.0), (0.0, 1e-6, 1e-4, 1e-2, 1.0)])
def test_any_range_of_alpha_can_be_drawn(alphas: tuple[float, ...]) -> None:
    svg = alpha_curve(searched(*alphas, best_by_nll=0.0, best_by_top1=alphas[-1]))
    assert f"chosen: α = {alphas[-1]:g}" in svg
    assert "nan" not in svg


def test_bars_are_as_high_as_the_accuracy_and_counts_as_the_examples() -> None:
    measurement = samples.measurement()
    svg = reliability(measurement)
    shown = [measurement.reliability["original"], measurement.reliability["alpha+T"]]
    accuracy = np.array([item.accuracy for panel in shown for item in panel if item.count])
    counts = np.array([item.count for panel in shown for item in panel])
    heights = bars(svg, BLUE)
    assert len(heights) == len(accuracy)
    np.testing.assert_allclose(heights / heights.max(), accuracy / accuracy.max(), atol=1e-3)
    heights = bars(svg, "#8a8a8a")
    np.testing.assert_allclose(heights / heights.max(), counts / counts.max(), atol=1e-3)


@pytest.mark.parametrize(
    ("arms", "titles"),
    [
        (("original",), ["before (original): ECE 0.0371"]),
        (("original", "T"), ["before (original): ECE 0.0371", "after (T): ECE 0.0184"]),
        (("original", "T", "alpha", "alpha+T"), ["before (original): ECE 0.0371", "after (alpha+T): ECE 0.0163"]),
    ],
)
def test_first_and_last_arm_are_shown_with_their_ece(arms: tuple[str, ...], titles: list[str]) -> None:
    svg = reliability(samples.measurement(arms))  # type: ignore[arg-type]
    assert re.findall(r">([^<>]*ECE[^<>]*)</text>", svg) == titles
    assert all(title in svg[: svg.index(">")] for title in titles)
    (section,) = (found for found in samples.measurement(arms).sections() if found.figure)  # type: ignore[arg-type]
    assert section.words[0] == f"{'; '.join(titles)}."


def test_the_callers_settings_change_nothing_and_are_left_alone() -> None:
    usual = alpha_curve(samples.search()), reliability(samples.measurement())
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": False, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        assert (alpha_curve(samples.search()), reliability(samples.measurement())) == usual
        assert dict(matplotlib.rcParams) == before


def test_a_drawing_that_fails_gives_the_settings_back() -> None:
    before = dict(matplotlib.rcParams)
    with pytest.raises(ZeroDivisionError), drawing_style():
        raise ZeroDivisionError("drawing failed") if dict(matplotlib.rcParams) != before else AssertionError
    assert dict(matplotlib.rcParams) == before


def test_the_files_carry_no_date_no_metadata_and_no_prologue() -> None:
    for svg in (alpha_curve(samples.search()), reliability(samples.measurement())):
        assert svg.startswith("<svg ")
        assert svg.endswith("</svg>")
        assert re.search("metadata|<\\?xml|DOCTYPE", svg) is None
