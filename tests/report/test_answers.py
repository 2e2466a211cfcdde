"""Changed predictions as they read: the counts, the classes shown, the examples and their pictures."""

import base64
import re

import pytest

from calibrate.report import render_html, render_markdown, render_text
from calibrate.report.answers import answers_words, changed_examples, classes_table, classes_words, examples_words
from tests import samples
from tests.report.test_html import Page

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


def test_fixed_and_broken_stand_next_to_the_difference_in_every_report() -> None:
    words = answers_words(samples.answers())
    assert "fixed 204 and broke 160: net +44, +0.18 points" in words
    assert "p = 0.0243" in words
    summary = samples.summary()
    text, html, markdown = render_text(summary), Page(render_html(summary)).text, render_markdown(summary)
    for whole in (" ".join(text.split()), html, markdown.replace("\\", "")):
        assert words in whole
    assert "p < 0.0001" in answers_words(samples.answers(p=3e-9))


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (20, 20), (21, 20), (1000, 20)])
def test_all_of_few_classes_are_shown_and_the_clearest_of_many(count: int, shown: int) -> None:
    answers = samples.answers(classes=count)
    clear = samples.class_change(count - 1, fixed=5, broken=0)
    answers = answers.model_copy(update={"classes": (*answers.classes[:-1], clear)})
    rows = classes_table(answers).rows
    assert len(rows) == shown
    assert rows[0 if count > 20 else -1].label == f"class-{count - 1} [{count - 1}]"
    assert ("most clearly" in classes_words(answers)) is (count > 20)


def test_a_class_row_has_its_counts_change_and_interval() -> None:
    (row,) = classes_table(samples.answers(classes=1)).rows
    assert row.note == "n = 25"
    assert [(cell.value, cell.interval) for cell in row.cells] == [
        ("+4.00", "[-11.00, +19.00]"), ("72.00", ""), ("76.00", ""), ("2", ""), ("1", ""),
    ]  # fmt: skip


def test_the_note_counts_intervals_that_leave_out_0_and_those_expected_by_chance() -> None:
    answers = samples.answers(classes=40)
    surprising = [samples.class_change(40, low=0.01, high=0.2), samples.class_change(41, low=-0.2, high=-0.01)]
    words = classes_words(answers.model_copy(update={"classes": (*answers.classes[:38], *surprising)}))
    assert "Of 40 intervals, 2 leave out 0, and up to about 2 would by chance" in words


def test_examples_name_classes_confidences_and_the_entry() -> None:
    first, second = changed_examples(samples.answers(), {})
    assert (first.kind, first.truth, first.before, first.after) == (
        "fixed", "tench [0]", "coho [391] (0.51)", "tench [0] (0.71)",
    )  # fmt: skip
    assert first.entry == "'tench/7.JPEG' in /data/imagenet/val"
    assert (second.kind, second.truth) == ("broken", "class 0")


def test_pictures_are_shown_for_the_examples_that_have_one_and_load_nothing() -> None:
    html = render_html(samples.summary(), {7: PNG, 8: PNG})
    (source,) = re.findall(r'<img src="([^"]*)"', html)
    kind, _, content = source.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == PNG
    Page(html)


def test_pictures_of_float_input_are_called_stretched() -> None:
    summary = samples.summary()
    raw = summary.data.model_copy(update={"preprocessing": None})
    assert "stretched" not in examples_words(summary, samples.answers())
    assert "stretched" in examples_words(samples.summary(data=raw), samples.answers())


@pytest.mark.parametrize(
    ("answers", "said"), [(None, "compared no tuned network"), (samples.answers(examples=()), "answered as before")]
)
def test_what_is_absent_is_said(answers: object, said: str) -> None:
    summary = samples.summary(answers=answers)
    assert said in Page(render_html(summary)).text
    assert said in render_markdown(summary)
    assert said not in render_markdown(samples.summary())
