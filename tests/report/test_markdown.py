"""The markdown report, read by markdown-it: the same numbers, the same parts, and nothing from outside as markup."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from calibrate.report import render_markdown, render_text
from calibrate.result import Changes
from tests import samples

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def tokens(markdown: str) -> list[Token]:
    return READER.parse(markdown)


def kinds(markdown: str) -> list[str]:
    """Every block, and every inline piece that is not text."""
    found = []
    for token in tokens(markdown):
        found.append(token.type)
        inside = {child.type for child in token.children or []}
        found += sorted(inside - {"text", "text_special"})
    return found


def shown(markdown: str) -> str:
    """What a reader sees, one block after the other."""
    blocks = (token.children for token in tokens(markdown) if token.children)
    return " ".join("".join(child.content for child in block) for block in blocks)


def headings(markdown: str) -> list[str]:
    found = tokens(markdown)
    return [found[index + 1].content for index, token in enumerate(found) if token.type == "heading_open"]


def test_every_number_of_the_text_is_in_the_markdown() -> None:
    summary = samples.summary()
    words = shown(render_markdown(summary))
    assert [number for number in samples.expected_numbers(samples.measurement()) if number not in words] == []
    numbers = re.findall(r"[-+]?\d[\d.,]*\d(?:e-\d+)?", render_text(summary))
    assert [number for number in numbers if number not in words] == []


def test_tables_have_all_their_rows_and_cells() -> None:
    summary = samples.summary()
    found = [token.type for token in tokens(render_markdown(summary))]
    rows = {"scores": 5, "differences": 5, "classes": 13, "examples": 3, "layers": 54}
    assert found.count("table_open") == len(rows)
    assert found.count("tr_open") == sum(rows.values())
    assert found.count("td_open") + found.count("th_open") == 10 * 6 + 13 * 6 + 3 * 5 + 54 * 10


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"measurement": None, "verdict": None, "reasons": ()}, "this run measured nothing"),
        ({"measurement": samples.measurement(("plain",)), "verdict": None}, "no two arms"),
        ({"search": None}, "did not search for α"),
        ({"artifacts": ()}, "No files were written"),
        ({"findings": ()}, "None."),
        ({"layers": ()}, "no batch normalisation layers"),
        ({"answers": None}, "compared no tuned network"),
        ({"changes": Changes(sites=(), temperature=1.0, temperature_folded_into=None)}, "no normalisation layers"),
    ],
)
def test_what_is_absent_is_said_and_no_part_is_dropped(changed: dict[str, object], said: str) -> None:
    whole, part = render_markdown(samples.summary()), render_markdown(samples.summary(**changed))
    assert said in part
    assert said not in whole
    assert len(headings(part)) == len(headings(whole)) == 10


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
