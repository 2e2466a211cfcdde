"""The sections of adaptation: the diagnosis first, every method's numbers, and nothing from outside as markup."""

import re

from calibrate.recipe.adapters import IEW, LAME, Tent
from calibrate.recipe.streams import Domain, Stream
from calibrate.report import render_html, render_markdown, render_text
from calibrate.report.probes import probe_sections
from calibrate.result import (
    Adaptation,
    Estimate,
    Kept,
    MethodScores,
    StreamDiagnosis,
    StreamMeasures,
    StreamScores,
    StreamWarning,
    Summary,
)
from tests.samples import summary

CHANGE = Estimate(value=-0.0725, low=-0.11, high=-0.03)
METHODS = (None, IEW(), Tent(), LAME())


def method_scores(number: int) -> MethodScores:
    method = METHODS[number]
    return MethodScores(
        method=method,
        top1=0.5123 + number / 100,
        top1_sd=0.0125 if number else None,
        nll=1.3579 + number if number < 3 else None,
        segments=(0.5, 0.25, 0.125),
        against_source=CHANGE if number else None,
        against_iew=CHANGE if number > 1 else None,
        forward=1.0,
        backward=float(number == 2),
        checks=0.5 if number == 2 else 0.0,
        source_change=-0.0331 if number == 2 else None,
        learned=4 if number == 2 else 0,
        collapses=0.667 if number == 2 else 0.0,
        resets=0.0,
        keeps=("nothing", "weights", "re-estimation", "runtime")[number],
    )


def adapted(message: str = "its batches hold one class") -> Summary:
    measures = StreamMeasures(
        images=512,
        batch_size=50,
        correlation=0.6,
        correlation_by_chance=0.01,
        one_class=0.2,
        mixture=None,
        shift=0.19,
    )
    diagnosis = StreamDiagnosis(
        measures=measures,
        warnings=(StreamWarning(code="labels-correlated", message=message),),
        recommended=LAME(),
        reason=message,
    )
    streams = tuple(
        StreamScores(
            stream=stream, visits=80, diagnosis=diagnosis, methods=tuple(map(method_scores, range(len(METHODS))))
        )
        for stream in (Stream(), Stream(order="class_sorted", domains=(Domain(corruption="fog", severity=5),)))
    )
    found = Adaptation(tuned=False, images=40, seeds=2, resamples=100, streams=streams)
    kept = Kept(method=Tent(), stream=Stream(), images=40, learned=("a", "b"), reestimated=True, collapses=3)
    return summary(probes=(found,), kept=(kept,))


def test_every_stream_is_a_section_with_every_method_in_it() -> None:
    sections = probe_sections(adapted())
    assert [section.title.rpartition(": ")[2] for section in sections] == [
        "as they are, shuffled, batches of 64",
        "C-style fog 5, class-sorted, batches of 64",
    ]
    for section in sections:
        assert section.table is not None
        assert [row.label for row in section.table.rows] == ["no adaptation", "iew", "tent", "lame"]
        assert all(len(row.cells) == len(section.table.columns) for row in section.table.rows)
        assert "lame" in section.words[0]
        assert "labels-correlated" in section.words[0]


def test_the_numbers_are_in_every_report() -> None:
    shown = adapted()
    for render in (render_text, render_markdown, render_html):
        text = re.sub(r"\\(.)", r"\1", render(shown))
        for number in ("51.23", "54.23", "-7.25", "[-11.00, -3.00]", "3.3579", "infinite", "-3.31", "0.667", "1 + 1"):
            assert number in text, (render.__name__, number)
        assert "2 tensors learned by tent from 40 examples" in " ".join(text.split())
        assert "3 collapses" in text


def test_the_figure_has_a_line_for_each_method() -> None:
    for section in probe_sections(adapted()):
        assert section.draw is not None
        figure = section.draw()
        assert all(label in figure for label in ("no adaptation", "iew", "tent", "lame"))


def test_words_from_outside_are_words() -> None:
    page = render_html(adapted("<script>alert(1)</script>"))
    assert "<script>" not in page
