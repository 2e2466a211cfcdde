"""The choice of α without labels in the reports: the same words everywhere, and a figure for each."""

import re

import numpy as np
import pytest

from calibrate.report import render_html, render_text
from calibrate.report.draw import svg as drawn
from calibrate.result import Summary
from calibrate.steps import LabelFreeSearch
from tests import samples
from tests.report.reading import flat, read

SAID = (
    "Chose α = 0.125 by predictions that are sure, of all classes: α = 0.125 lowered the criterion by 0.1250, with a "
    "standard error of 0.0312 (more than 1 of them required)."
)
HOW = (
    "On 1,000 examples of the calibration half (4.5 passes), none of whose labels was used; lower is better, and in "
    "brackets is the 95 % interval of the difference from the first, added to the value there. Only a measurement with "
    "labels shows whether it helps."
)


def unlabelled(*searches: LabelFreeSearch) -> Summary:
    return samples.unmeasured(*(searches or (samples.label_free(),)))


def test_all_reports_say_what_was_chosen_and_that_no_labels_were_used() -> None:
    for seen in read(unlabelled()).values():
        assert "Search for α without labels: entropy" in seen.headings
        assert "Search for α" not in seen.headings
        assert seen.words.index(SAID) < seen.words.index(HOW)


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ("entropy", "predictions that are sure, of all classes"),
        ("agreement", "predictions that agree on two views of an image"),
        ("estimation_shift", "the estimation shift in the last layer"),
    ],
)
def test_the_criterion_is_named(criterion: str, words: str) -> None:
    (section,) = samples.label_free(criterion=criterion).sections()
    assert section.title == f"Search for α without labels: {criterion.replace('_', ' ')}"
    assert section.words[0].startswith(f"Chose α = 0.125 by {words}: ")


def test_every_alpha_is_a_row_with_its_interval_and_the_chosen_one_is_marked() -> None:
    (section,) = samples.label_free().sections()
    assert section.table is not None
    found = [(row.label, row.note, *((cell.value, cell.interval) for cell in row.cells)) for row in section.table.rows]
    assert found == [
        ("α = 0", "", ("-2.0000", "[-2.0000, -2.0000]")),
        ("α = 0.03125", "", ("-2.0625", "[-2.0664, -2.0586]")),
        ("α = 0.125", "chosen", ("-2.1250", "[-2.1406, -2.1094]")),
        ("α = 0.5", "", ("-1.7500", "[-1.8125, -1.6875]")),
    ]


def test_text_keeps_its_width() -> None:
    assert max(map(len, render_text(unlabelled()).splitlines())) <= 100


def test_a_search_with_labels_stands_beside_it() -> None:
    words = flat(render_text(samples.summary(outcomes=samples.outcomes(samples.label_free()))))
    assert SAID in words
    assert samples.search().reason in words


def test_the_html_has_a_figure_for_each_search_and_their_names_differ() -> None:
    html = render_html(unlabelled(samples.label_free(), samples.label_free(criterion="agreement")))
    assert html.count('<svg role="img" aria-label="The criterion ') == 2
    names = re.findall(r' id="([^"]+)"', html)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_the_figure_follows_the_criterion_and_marks_the_choice(start: float) -> None:
    search = samples.label_free()
    if start:
        points = tuple(point.model_copy(update={"alpha": 1 - point.alpha}) for point in search.points)
        search = search.model_copy(update={"points": points, "chosen": 0.875, "best": 0.875})
    (section,) = search.sections()
    assert section.figure is not None
    svg = drawn(section.figure, "label-free-0")
    assert drawn(section.figure, "label-free-0") == svg
    paths = re.findall(r'd="([^"]*)" clip-path="[^"]*" style="fill: none; stroke: (#[0-9a-f]+)[;"]', svg)
    lines = {colour: np.array(re.findall(r"[ML] (\S+) (\S+)", path), dtype=float) for path, colour in paths}
    curve, mark = lines["#0072b2"], lines["#d55e00"]
    values = np.array([point.value for point in search.points])
    np.testing.assert_allclose(
        np.ptp(curve[:, 1]) * (values - values.min()) / np.ptp(values), curve[:, 1].max() - curve[:, 1], atol=1e-3
    )
    np.testing.assert_allclose(mark[:, 0], curve[2, 0], atol=1e-3)
    assert f"chosen: α = {search.chosen:g}</text>" in svg
    assert f"95 % of the difference from α = {start:g}</text>" in svg
