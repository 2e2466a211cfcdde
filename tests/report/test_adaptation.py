"""The sections of adaptation on streams, and what a report says of what was kept."""

import re

import pytest

from calibrate import steps
from calibrate.page.section import Section
from calibrate.report import render_html, render_markdown, render_text
from calibrate.report.draw import svg
from calibrate.steps import IEW, NAMES, Tent
from tests import samples
from tests.report.reading import flat, read
from tests.samples import adaptation, unmeasured

METHODS = samples.adaptation_methods()


def test_every_stream_is_a_section_and_every_method_a_row_with_all_its_numbers() -> None:
    sections = adaptation().sections()
    assert [section.title for section in sections] == [
        "Adaptation of the original network: as they are, shuffled, batches of 64",
        "Adaptation of the original network: 2 domains, recurring, batches of 64",
    ]
    for section in sections:
        assert section.table is not None
        rows = {row.label: [flat(f"{cell.value} {cell.interval}") for cell in row.cells] for row in section.table.rows}
        assert list(rows) == ["no adaptation", "α-IEW", "BN-α", "Tent 1", "Tent 2", "SAR", "LAME"]
        assert {len(row) for row in rows.values()} == {len(section.table.columns)}
        assert rows["no adaptation"] == ["50.00 ± 0.00", "", "", "0.7000", "1+0", "", "0+0", "as it is"]
        assert rows["α-IEW"][:3] == ["51.11 ± 0.21", "+1.00 [-0.13, +2.17]", ""]
        assert rows["BN-α"][3] == "not finite"
        assert rows["Tent 1"] == [
            "53.33 ± 0.63", "+3.00 [-0.39, +6.51]", "-5.10 [-4.11, -0.69]", "0.7921", "1+1 +0.043", "-3.71", "0.33+0",
            "re-estimate 14 tensors",
        ]  # fmt: skip
        assert rows["SAR"][4:7] == ["1.9+1.9", "", "0+2.3"]
        assert [row[-1] for row in rows.values()][-1] == "run time"


def test_one_order_has_no_standard_deviation() -> None:
    alone = tuple(item.model_copy(update={"top1_sd": None}) for item in METHODS)
    streams = tuple(stream.model_copy(update={"methods": alone}) for stream in adaptation().streams)
    (section, _) = adaptation(seeds=1, streams=streams).sections()
    assert section.table is not None
    assert [row.cells[0].interval for row in section.table.rows] == [""] * 7
    assert "in one order" in section.words[-1]
    assert "standard deviation" not in section.words[-1]


def test_the_diagnosis_stands_before_the_table_in_every_format() -> None:
    for form, seen in read(unmeasured(adaptation())).items():
        parts = seen.words.split("Adaptation of the original network: ")[1:]
        half = 2 if form == "html" else 1  # captions repeat the titles
        first, second = " ".join(parts[:half]), " ".join(parts[half:])
        told = (
            "Seen in the first 512 predictions, without labels: batches of 64, label correlation 0.62 (by chance up to "
            "0.02), 25 % of the predictions are of one class, mixture 0.71, shift 0.47 deviations."
        )
        for part, advice in (
            (first, "Recommended: leave the network as it is, since images of one class come together."),
            (second, "Recommended: BN-α (prior 16), since images of one class come together."),
        ):
            assert part.index(told) < part.index(advice) < part.index("top-1 %")
        assert "Beware" not in first
        assert (
            second.index(told)
            < second.index("Beware (labels-correlated): images of one class come together.")
            < second.index("top-1 %")
        )
        assert "What was recommended, BN-α (prior 16): +2.00 points [-0.26, +4.34] against no adaptation." in second
        assert "What was recommended" not in first
        assert "SAR has the highest top-1, 55.55 %: +5.00 points [-0.65, +10.85] against no adaptation" in first
        assert "BN-α: prior 16; Tent 2: optimizer sgd (lr 0.00025, momentum 0.9), steps 2" in first
        assert "recurring, batches of 64: as they are, C-style fog 5, 2 times), in 3 orders" in second


def test_that_nothing_beats_the_network_is_said() -> None:
    best = (METHODS[0].model_copy(update={"top1": 0.9}), *METHODS[1:])
    streams = (adaptation().streams[0].model_copy(update={"methods": best}),)
    (section,) = adaptation(streams=streams).sections()
    assert section.words[1] == "No method has a higher top-1 than the network without adaptation, 90.00 %."


def test_the_text_fits_a_terminal() -> None:
    lines = render_text(unmeasured(adaptation())).splitlines()
    assert max(map(len, lines)) <= 100


def test_the_figure_has_a_line_of_all_parts_for_each_method() -> None:
    sections: tuple[Section, ...] = adaptation().sections()
    for number, section in enumerate(sections):
        assert section.figure is not None
        drawn = svg(section.figure, f"figure-{number}")
        paths = re.findall(r'd="([^"]*)" clip-path="[^"]*" style="fill: none; stroke', drawn)
        curves = [path for path in paths if len(re.findall("[ML]", path)) == 10]
        assert len(curves) == len(METHODS)
        named = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
        assert set(named) >= {"no adaptation", "α-IEW", "BN-α", "Tent 1", "Tent 2", "SAR", "LAME"}
        assert f'id="figure-{number}-' in drawn
        assert drawn == svg(section.figure, f"figure-{number}")


@pytest.mark.parametrize("text", ["<script>x</script>", "a|b", "\x1b[31m", "*x*"])
def test_hostile_words_of_a_diagnosis_are_shown_as_they_are(text: str) -> None:
    hostile = unmeasured(adaptation(text))
    assert "<script>" not in render_html(hostile)
    for render in (render_text, render_markdown, render_html):
        assert "\x1b" not in render(hostile)
    words = text.encode("unicode_escape").decode()
    assert f"Beware (labels-correlated): {words}." in " ".join(render_text(hostile).split())
    tables = [line for line in render_markdown(hostile).splitlines() if line.startswith("| Tent 1")]
    assert len(tables) == 2


def test_what_was_kept_is_told_among_what_came_of_the_steps() -> None:
    kept = samples.stream_learning(method=Tent(steps=2), collapses=2)
    for seen in read(samples.summary(outcomes=samples.outcomes(kept))).values():
        assert "Learned from a stream by Tent" in seen.headings
        assert (
            "2 tensors learned by Tent (steps 2) from 450 examples of the calibration half, without labels (as they "
            "are, shuffled, batches of 64), after 2 collapses back to the source; running statistics re-estimated on "
            "the same examples"
        ) in seen.words
        assert "with γ and β from Tent, α = 0.05 and T" in seen.words
    stateless = samples.stream_learning(method=IEW(alpha=0.1), learned=(), reestimated=False, images=0)
    for seen in read(samples.summary(outcomes=samples.outcomes(stateless))).values():
        assert "By α-IEW (alpha 0.1), which learns nothing from a stream" in seen.words
        assert "γ and β from" not in seen.words


def test_every_method_has_a_name_in_reports() -> None:
    assert list(NAMES) == list(steps.METHODS)
