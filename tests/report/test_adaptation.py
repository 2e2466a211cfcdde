"""The sections of adaptation on streams, and what a report says of what was kept."""

import re
from typing import Any

import pytest

from calibrate import steps
from calibrate.report import render_html, render_markdown, render_text
from calibrate.report.draw import svg
from calibrate.report.learned import probe_sections
from calibrate.result import ProbeResult, Summary
from calibrate.steps import (
    IEW,
    LAME,
    SAR,
    SGD,
    Adaptation,
    BNAlpha,
    Domain,
    MethodScores,
    Stream,
    StreamDiagnosis,
    StreamMeasures,
    StreamScores,
    StreamWarning,
    Tent,
)
from calibrate.steps.adaptation_words import NAMES
from calibrate.values import Estimate
from tests import samples

FOG = Domain(corruption="fog", severity=5)
MEASURES = StreamMeasures(
    images=512,
    batch_size=64,
    correlation=0.621,
    correlation_by_chance=0.023,
    one_class=0.253,
    mixture=0.714,
    shift=0.468,
)


def method(method: Any, number: int, **changed: Any) -> MethodScores:
    """Numbers that no other method has."""
    difference = Estimate(value=0.01 * number, low=-0.0013 * number, high=0.0217 * number)
    fields = {
        "method": method,
        "top1": 0.5 + 0.0111 * number,
        "top1_sd": 0.0021 * number,
        "nll": 0.7 + 0.0307 * number,
        "segments": tuple(0.5 + 0.01 * number + 0.003 * (part % 2) for part in range(10)),
        "against_source": difference if method else None,
        "against_iew": Estimate(value=-0.017 * number, low=-0.0411, high=-0.0023 * number) if method else None,
        "forward": 1.0,
        "backward": 0.0,
        "checks": 0.0,
        "source_change": None,
        "learned": 0,
        "collapses": 0.0,
        "resets": 0.0,
        "keeps": "runtime" if method else "nothing",
    }
    return MethodScores(**{**fields, **changed})


LEARNING: dict[str, Any] = {"learned": 14, "keeps": "re-estimation", "backward": 1.0}
METHODS = (
    method(None, 0),
    method(IEW(), 1, against_iew=None, keeps="weights"),
    method(BNAlpha(prior=16.0), 2, nll=None),
    method(Tent(), 3, **LEARNING, source_change=-0.0371, checks=0.043, collapses=1 / 3),
    method(Tent(optimizer=SGD(), steps=2), 4, **LEARNING, source_change=0.0013),
    method(SAR(), 5, **{**LEARNING, "forward": 1.94, "backward": 1.87}, resets=7 / 3),
    method(LAME(), 6, top1=0.2383),
)


def adaptation(text: str = "images of one class come together", **changed: Any) -> Adaptation:
    warning = StreamWarning(code="labels-correlated", message=text)
    streams = tuple(
        StreamScores(
            stream=stream,
            visits=500,
            diagnosis=StreamDiagnosis(measures=MEASURES, warnings=warnings, recommended=recommended, reason=text),
            methods=METHODS,
        )
        for stream, warnings, recommended in (
            (Stream(), (), None),
            (Stream(order="recurring", cycles=2, domains=(Domain(), FOG)), (warning,), BNAlpha(prior=16.0)),
        )
    )
    fields = {"tuned": False, "images": 250, "seeds": 3, "resamples": 2000, "streams": streams}
    return Adaptation(**{**fields, **changed})


def probed(*results: ProbeResult) -> Summary:
    """A run that only looked."""
    nothing = {"search": None, "measurement": None, "verdict": None, "reasons": (), "answers": None, "layers": ()}
    return samples.summary(probes=results, **nothing)


def flat(text: str) -> str:
    return " ".join(text.replace("\\", "").split())


def test_every_stream_is_a_section_and_every_method_a_row_with_all_its_numbers() -> None:
    sections = probe_sections(probed(samples.output_bound(2), adaptation()))
    assert [section.title for section in sections[1:]] == [
        "Adaptation of the original network: as they are, shuffled, batches of 64",
        "Adaptation of the original network: 2 domains, recurring, batches of 64",
    ]
    for section in sections[1:]:
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
    (section, _) = probe_sections(probed(adaptation(seeds=1, streams=streams)))
    assert section.table is not None
    assert [row.cells[0].interval for row in section.table.rows] == [""] * 7
    assert "in one order" in section.words[-1]
    assert "standard deviation" not in section.words[-1]


def test_the_diagnosis_stands_before_the_table_in_every_format() -> None:
    summary = probed(adaptation())
    for render in (render_text, render_markdown, render_html):
        shown = flat(re.sub(r"<(svg|caption).*?</\1>|<[^>]+>", " ", render(summary), flags=re.DOTALL))
        first, second = shown.split("Adaptation of the original network: ")[1:3]
        told = (
            "Seen in the first 512 answers, without labels: batches of 64, label correlation 0.62 (by chance up to "
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
        assert "SAR answers most right, 55.55 %: +5.00 points [-0.65, +10.85] against no adaptation" in first
        assert "BN-α: prior 16; Tent 2: optimizer sgd (lr 0.00025, momentum 0.9), steps 2" in first
        assert "recurring, batches of 64: as they are, C-style fog 5, 2 times), in 3 orders" in second


def test_that_nothing_beats_the_network_is_said() -> None:
    best = (METHODS[0].model_copy(update={"top1": 0.9}), *METHODS[1:])
    streams = (adaptation().streams[0].model_copy(update={"methods": best}),)
    (section,) = probe_sections(probed(adaptation(streams=streams)))
    assert section.words[1] == "No method answers more right than the network without adaptation, 90.00 %."


def test_the_text_fits_a_terminal() -> None:
    lines = render_text(probed(adaptation())).splitlines()
    assert max(map(len, lines)) <= 100


def test_the_figure_has_a_line_of_all_parts_for_each_method() -> None:
    sections = probe_sections(probed(adaptation()))
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
    hostile = probed(adaptation(text))
    assert "<script>" not in render_html(hostile)
    for render in (render_text, render_markdown, render_html):
        assert "\x1b" not in render(hostile)
    words = text.encode("unicode_escape").decode()
    assert f"Beware (labels-correlated): {words}." in " ".join(render_text(hostile).split())
    tables = [line for line in render_markdown(hostile).splitlines() if line.startswith("| Tent 1")]
    assert len(tables) == 2


@pytest.mark.parametrize("render", [render_text, render_markdown, render_html])
def test_what_was_kept_is_told_among_what_was_chosen(render: Any) -> None:
    shown = flat(render(samples.summary(kept=(samples.kept(method=Tent(steps=2), collapses=2),))))
    assert (
        "2 tensors learned by Tent (steps 2) from 450 examples of the calibration half, without labels (as they are, "
        "shuffled, batches of 64), after 2 collapses back to the source; running statistics re-estimated on the same "
        "examples"
    ) in shown
    assert "with γ and β from Tent, α = 0.05 and T" in shown
    stateless = samples.kept(method=IEW(alpha=0.1), learned=(), reestimated=False, images=0)
    shown = flat(render(samples.summary(kept=(stateless,))))
    assert "by α-IEW (alpha 0.1), which learns nothing from a stream" in shown
    assert "γ and β from" not in shown


def test_every_method_has_a_name_in_reports() -> None:
    assert list(NAMES) == list(steps.METHODS)
