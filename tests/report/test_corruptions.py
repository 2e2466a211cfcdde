"""The section of corruptions: "C-style" in every label, and both arms where there are two."""

import re

import pytest

from calibrate.report import render_text
from calibrate.report.draw import svg
from tests import samples
from tests.report.reading import flat, read


@pytest.mark.parametrize("tuned", [False, True])
def test_every_label_says_c_style(tuned: bool) -> None:
    found = samples.corruptions(tuned=tuned)
    (section,) = found.sections()
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
    for seen in read(samples.unmeasured(found)).values():
        assert "not the files of ImageNet-C" in seen.words
        assert "means over the severities 1, 3" in seen.words


def test_a_changed_network_is_shown_beside_the_one_that_came() -> None:
    text = render_text(samples.unmeasured(samples.corruptions(tuned=True)))
    assert max(map(len, text.splitlines())) <= 100
    assert "+3.00 points [+1.00, +5.00]" in flat(text)
    alone = render_text(samples.unmeasured(samples.corruptions()))
    assert "Δ" not in alone
