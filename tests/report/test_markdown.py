"""The markdown report, read by markdown-it: the same numbers, the same parts, and nothing from outside as markup."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.report import render_markdown, render_text
from tests import samples
from tests.report.reading import numbers, shown, tokens


def kinds(markdown: str) -> list[str]:
    """Every block, and every inline piece that is not text."""
    found = []
    for token in tokens(markdown):
        found.append(token.type)
        inside = {child.type for child in token.children or []}
        found += sorted(inside - {"text", "text_special"})
    return found


def test_every_number_of_the_text_is_in_the_markdown() -> None:
    summary = samples.summary()
    words = shown(render_markdown(summary))
    assert [number for number in samples.expected_numbers(samples.measurement()) if number not in words] == []
    assert numbers(render_text(summary)) == numbers(words)


def test_tables_have_all_their_rows_and_cells() -> None:
    summary = samples.summary()
    found = [token.type for token in tokens(render_markdown(summary))]
    rows = {"search": 12, "scores": 5, "differences": 5, "classes": 13, "examples": 3, "layers": 54}
    assert found.count("table_open") == len(rows)
    assert found.count("tr_open") == sum(rows.values())
    assert found.count("td_open") + found.count("th_open") == 12 * 5 + 10 * 6 + 13 * 6 + 3 * 5 + 54 * 10


@given(
    st.text(alphabet=st.one_of(st.sampled_from("\\`*_{}[]()<>#+-.!|~&:= 1\n"), st.characters()), min_size=1).filter(
        lambda text: not text.isspace()
    )
)
@settings(deadline=None, max_examples=60)
def test_text_from_outside_is_never_markup(text: str) -> None:
    assert kinds(render_markdown(samples.hostile(text))) == kinds(render_markdown(samples.hostile("harmless")))


@pytest.mark.parametrize(
    "text",
    ["<script>x</script>", "[a](http://b)", "![a](b)", "`x`", "*x*", "~~x~~", "a|b", "- x", "1. x", "---", "&lt;"],
)
def test_dangerous_names_are_shown_as_they_are(text: str) -> None:
    markdown = render_markdown(samples.hostile(text))
    assert shown(markdown).count(text) >= 10
    assert kinds(markdown) == kinds(render_markdown(samples.hostile("harmless")))
