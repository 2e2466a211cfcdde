"""The choice of α without labels in the reports: the same words everywhere, and a figure for each."""

import re

import numpy as np
import pytest

from calibrate.report import render_html, render_markdown, render_text
from calibrate.report.alpha_figures import label_free_curve
from calibrate.report.draw import svg as drawn
from calibrate.result import Summary
from tests import samples

SAID = (
    "chose α = 0.125 by sure predictions, of all classes, on 1,000 examples of the calibration half (4.5 passes), none "
    "of "
    "whose labels was used: α = 0.125 lowered the criterion by 0.1250, with a standard error of 0.0312 (1 of them "
    "asked for). Only a measurement with labels shows whether it helps."
)


def unlabelled(*searches: object) -> Summary:
    return samples.summary(search=None, measurement=None, verdict=None, label_free=searches or (samples.label_free(),))


@pytest.mark.parametrize("render", [render_text, render_markdown, render_html])
def test_all_reports_say_what_was_chosen_and_that_no_labels_were_used(render: object) -> None:
    report = render(unlabelled())  # type: ignore[operator]
    assert SAID in " ".join(report.replace("\\", "").split())
    assert "did not search for α" not in report


def test_text_keeps_its_width() -> None:
    assert max(map(len, render_text(unlabelled()).splitlines())) <= 100


def test_a_search_with_labels_stands_beside_it() -> None:
    words = " ".join(render_text(samples.summary(label_free=(samples.label_free(),))).split())
    assert SAID in words
    assert samples.search().reason in words


def test_the_html_has_a_figure_for_each_search_and_their_names_differ() -> None:
    html = render_html(unlabelled(samples.label_free(), samples.label_free(criterion="agreement")))
    assert html.count('<svg role="img" aria-label="The criterion ') == 2
    names = re.findall(r' id="([^"]+)"', html)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("plain", [0.0, 1.0])
def test_the_figure_follows_the_criterion_and_marks_the_choice(plain: float) -> None:
    search = samples.label_free()
    if plain:
        points = tuple(point.model_copy(update={"alpha": 1 - point.alpha}) for point in search.points)
        search = search.model_copy(update={"points": points, "chosen": 0.875, "best": 0.875})
    svg = drawn(label_free_curve(search), "label-free-0")
    assert drawn(label_free_curve(search), "label-free-0") == svg
    paths = re.findall(r'd="([^"]*)" clip-path="[^"]*" style="fill: none; stroke: (#[0-9a-f]+)[;"]', svg)
    lines = {colour: np.array(re.findall(r"[ML] (\S+) (\S+)", path), dtype=float) for path, colour in paths}
    curve, mark = lines["#0072b2"], lines["#d55e00"]
    values = np.array([point.value for point in search.points])
    np.testing.assert_allclose(
        np.ptp(curve[:, 1]) * (values - values.min()) / np.ptp(values), curve[:, 1].max() - curve[:, 1], atol=1e-3
    )
    np.testing.assert_allclose(mark[:, 0], curve[2, 0], atol=1e-3)
    assert f"chosen: α = {search.chosen:g}</text>" in svg
    assert f"95 % of the difference from α = {plain:g}</text>" in svg
