"""The section of corruptions: "C-style" in every label, and both arms where there are two."""

import re

import pytest

from calibrate.report import render_html, render_markdown, render_text
from calibrate.report.draw import svg
from calibrate.report.learned import probe_sections
from calibrate.result import Summary
from calibrate.steps import CORRUPTION_SETS, CorruptionMean, Corruptions, CorruptionScores, TopOneAndNll
from calibrate.values import Estimate
from tests.samples import summary

PLAIN, TUNED = TopOneAndNll(top1=0.61, nll=1.25), TopOneAndNll(top1=0.64, nll=1.125)
CHANGE = Estimate(value=0.03, low=0.01, high=0.05)


def corrupted(*, tuned: bool) -> Summary:
    names = CORRUPTION_SETS["all"]
    found = Corruptions(
        tuned=tuned,
        images=40,
        arm="tuned+T" if tuned else None,
        temperatures=(1.5, 1.25) if tuned else (1.5,),
        resamples=100,
        scores=tuple(
            CorruptionScores(corruption=name, severity=severity, plain=PLAIN, tuned=TUNED if tuned else None)
            for name in names
            for severity in (1, 3)
        ),
        means=tuple(
            CorruptionMean(
                corruption=name,
                plain=PLAIN,
                tuned=TUNED if tuned else None,
                top1_change=CHANGE if tuned else None,
                nll_change=CHANGE if tuned else None,
            )
            for name in ("clean", *names, "all")
        ),
    )
    return summary(probes=(found,))


@pytest.mark.parametrize("tuned", [False, True])
def test_every_label_says_c_style(tuned: bool) -> None:
    shown = corrupted(tuned=tuned)
    (section,) = probe_sections(shown)
    assert section.table is not None
    assert section.figure is not None
    labels = [row.label for row in section.table.rows]
    assert labels[0] == "clean images"
    assert len(labels) == 21
    assert all(label.startswith("C-style ") for label in (section.title, *labels[1:]))
    figure = svg(section.figure, "figure-0")
    drawn = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", figure))
    for label in labels[1:-1]:
        assert label in drawn
    assert drawn.count("under C-style corruption") == 1 + tuned
    assert ("tuned+T minus T" in drawn) == tuned
    assert figure == svg(section.figure, "figure-0")
    for render in (render_text, render_markdown, render_html):
        text = " ".join(render(shown).split())
        assert "not the files of ImageNet-C" in text
        assert "means over the severities 1, 3" in text


def test_a_changed_network_is_shown_beside_the_one_that_came() -> None:
    text = render_text(corrupted(tuned=True))
    assert max(map(len, text.splitlines())) <= 100
    assert "+3.00 points [+1.00, +5.00]" in " ".join(text.split())
    alone = render_text(corrupted(tuned=False))
    assert "Δ" not in alone
