"""Changed predictions as they read: the counts, the classes shown, the examples and their pictures."""

import base64
import re

import pytest

from calibrate.page.section import Row, Section, Table
from calibrate.report import Page as ReportPage
from calibrate.report import render_html
from calibrate.steps import PredictionChanges
from tests import samples
from tests.report.reading import PNG, Page, read


def sections(changes: PredictionChanges) -> dict[str, Section]:
    """The sections of a measurement with these changes, by their titles."""
    measurement = samples.measurement().model_copy(update={"changes": changes})
    return {section.title: section for section in measurement.sections()}


def classes(changes: PredictionChanges) -> Section:
    return sections(changes)["Change in each class"]


def rows(section: Section) -> tuple[Row, ...]:
    assert section.table is not None
    return section.table.rows


def test_fixed_and_broken_stand_next_to_the_difference_in_every_report() -> None:
    words = sections(samples.changes())["Differences on the same examples"].words[-1]
    assert "fixed 204 and broke 160: net +44, +0.18 points" in words
    assert "p = 0.0243" in words
    for seen in read(samples.summary()).values():
        assert words in seen.words
    certain = sections(samples.changes(p=3e-9))["Differences on the same examples"].words[-1]
    assert "p < 0.0001" in certain


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (20, 20), (21, 20), (1000, 20)])
def test_all_of_few_classes_are_shown_and_the_clearest_of_many(count: int, shown: int) -> None:
    changes = samples.changes(classes=count)
    clear = samples.class_change(count - 1, fixed=5, broken=0)
    section = classes(changes.model_copy(update={"classes": (*changes.classes[:-1], clear)}))
    assert len(rows(section)) == shown
    assert rows(section)[0 if count > 20 else -1].label == f"class-{count - 1} [{count - 1}]"
    assert ("most clearly" in section.words[0]) is (count > 20)


def test_a_class_row_has_its_counts_change_and_interval() -> None:
    (row,) = rows(classes(samples.changes(classes=1)))
    assert row.note == "n = 25"
    assert [(cell.value, cell.interval) for cell in row.cells] == [
        ("+4.00", "[-11.00, +19.00]"), ("72.00", ""), ("76.00", ""), ("2", ""), ("1", ""),
    ]  # fmt: skip


def test_the_note_counts_intervals_that_leave_out_0_and_those_expected_by_chance() -> None:
    changes = samples.changes(classes=40)
    surprising = [samples.class_change(40, low=0.01, high=0.2), samples.class_change(41, low=-0.2, high=-0.01)]
    (words,) = classes(changes.model_copy(update={"classes": (*changes.classes[:38], *surprising)})).words
    assert "Of 40 intervals, 2 leave out 0, and up to about 2 would by chance" in words


def test_examples_name_classes_confidences_and_the_entry() -> None:
    section = sections(samples.changes())["Examples whose prediction changed"]
    first, second = rows(section)
    assert (first.label, first.example, *(cell.value for cell in first.cells)) == (
        "fixed", 7, "tench [0]", "coho [391] (0.51)", "tench [0] (0.71)", "'tench/7.JPEG' in /data/imagenet/val",
    )  # fmt: skip
    assert (second.label, second.example, second.cells[0].value) == ("broken", 9, "class 0")
    assert section.words[0].startswith("2 of 441, the most confident of their kind.")
    all_of_them = samples.changes(fixed=1, broken=1, other=0)
    assert sections(all_of_them)["Examples whose prediction changed"].words[0].startswith("All 2.")


def test_pictures_are_shown_for_the_examples_that_have_one_and_load_nothing() -> None:
    html = render_html(samples.summary(), {7: PNG, 8: PNG})
    (source,) = re.findall(r'<img src="([^"]*)"', html)
    kind, _, content = source.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == PNG
    Page(html)


@pytest.mark.parametrize(("given", "shown"), [((), ()), ((3,), ()), ((1,), (1,)), ((2, 0, 5), (0, 2))])
def test_a_page_shows_only_pictures_that_are_given_and_only_where_a_table_names_the_example(
    given: tuple[int, ...], shown: tuple[int, ...]
) -> None:
    table = Table(
        ("column",), (*(Row(f"row {place}", "", (), example=place) for place in range(3)), Row("none", "", ()))
    )
    pages = ReportPage("title", (), (Section("Examples", table=table), Section("Others", table=Table((), ()))))
    html = pages.html({place: bytes([place]) for place in given})
    found = [base64.b64decode(content)[0] for content in re.findall(r'<img src="data:image/png;base64,([^"]*)"', html)]
    assert tuple(found) == shown
    assert Page(html).tags.count("img") == len(shown)
    assert ("before it is normalised" in html) is bool(shown)


def test_what_pictures_show_is_said_where_there_are_some() -> None:
    with_pictures, without = (Page(render_html(samples.summary(), given)).text for given in ({7: PNG}, {}))
    said = "inputs that come without preprocessing are stretched from their lowest to their highest value."
    assert said in with_pictures
    assert said not in without


def test_a_run_that_compared_no_tuned_network_has_no_section_of_changes() -> None:
    found = sections(samples.changes())
    measurement = samples.measurement().model_copy(update={"changes": None})
    titles = [section.title for section in measurement.sections()]
    assert titles == [*found][: len(titles)]
    assert [*found][len(titles) :] == ["Change in each class", "Examples whose prediction changed"]
    assert not any("McNemar" in words for section in measurement.sections() for words in section.words)


def test_unchanged_predictions_are_called_that() -> None:
    section = sections(samples.changes(examples=()))["Examples whose prediction changed"]
    assert section.words == ("None: every prediction is as before.",)
    assert section.table is None
