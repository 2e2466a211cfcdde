"""The HTML report: well-formed, self-contained, deaf to what names contain, and equal in numbers to the text."""

import json
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.recipe import Recipe
from calibrate.report import render_html, render_text
from calibrate.report.html import OPEN_ROWS
from calibrate.result import Changes, Summary
from tests import samples
from tests.report.reading import LOADING, Page, numbers


@pytest.fixture(scope="module")
def html() -> str:
    return render_html(samples.summary())


def test_tags_are_balanced_and_ids_unique_and_found(html: str) -> None:
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r"url\(#([^)]*)\)", html)) | {value[1:] for value in page.values("xlink:href")}
    assert targets
    assert targets <= set(ids)


def test_nothing_is_loaded_and_nothing_runs(html: str) -> None:
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base", "image"} & set(page.tags)
    assert [item for item in page.attributes if item[1] in LOADING and not item[2].startswith("#")] == []
    assert [item for item in page.attributes if item[1].startswith("on")] == []
    assert re.findall(r"url\((?!#)|@import|@font-face", html) == []
    named = {value for _, name, value in page.attributes if name.startswith("xmlns")}
    assert {found.rstrip('"') for found in re.findall(r"https?:[^ >]*", html)} == named


def test_the_policy_forbids_every_request(html: str) -> None:
    policies = [value for tag, name, value in Page(html).attributes if (tag, name) == ("meta", "content")]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in policies


def test_the_title_names_model_and_data(html: str) -> None:
    found = re.search("<title>(.*)</title>", html)
    assert found is not None
    assert "torchvision/resnet50 on /data/imagenet/val" in found[1]


def test_every_number_of_the_text_is_in_the_html(html: str) -> None:
    shown = Page(html).text
    assert [number for number in samples.expected_numbers(samples.measurement()) if number not in shown] == []
    assert numbers(render_text(samples.summary())) <= numbers(shown)


def test_the_recipe_is_shown_whole_with_its_digest(html: str) -> None:
    summary = samples.summary()
    shown = Page(html).text
    (recipe,) = re.findall(r"recipe, whole (.*) recipe digest", shown)
    assert Recipe.model_validate(json.loads(recipe)) == summary.recipe
    assert recipe == json.dumps(json.loads(summary.recipe.canonical), ensure_ascii=False)
    assert summary.recipe_digest in shown


def test_figures_are_there_only_with_their_data(html: str) -> None:
    assert Page(html).tags.count("svg") == 3
    assert Page(render_html(samples.summary(outcomes=samples.outcomes(search=None)))).tags.count("svg") == 2
    assert Page(render_html(samples.unmeasured())).tags.count("svg") == 1
    assert "svg" not in Page(render_html(samples.unmeasured(layers=()))).tags


def test_every_figure_stands_in_a_section_and_its_ids_are_its_own() -> None:
    page = Page(render_html(samples.summary(outcomes=samples.everything(), serving=(samples.serving(),))))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    drawn = {found[0] for found in (re.match(r"figure-\d+-", name) for name in ids) if found}
    figures = sum(section.figure is not None for outcome in samples.everything() for section in outcome.sections())
    assert page.tags.count("figure") == page.tags.count("svg") == len(drawn) == figures + 1


@pytest.mark.parametrize(("number", "shut"), [(3, False), (OPEN_ROWS, False), (OPEN_ROWS + 1, True), (100, True)])
def test_every_site_is_listed_and_a_long_list_starts_folded(number: int, shut: bool) -> None:
    changes = Changes(sites=samples.sites(number), temperature=1.0, temperature_folded_into=None)
    page = Page(render_html(samples.unmeasured(changes=changes, layers=samples.layers(number))))
    assert all(name in page.text for site in changes.sites for name in site.names)
    assert ("details" in page.tags) is shut
    assert ("details", "open", "") not in page.attributes


def test_rendering_twice_gives_the_same_bytes(html: str) -> None:
    assert render_html(samples.summary()) == html


@cache
def marked(text: str, *, probed: bool) -> tuple[list[str], list[tuple[str, str]]]:
    page = Page(render_html(samples.hostile(text, probed=probed)))
    return page.tags, [(tag, name) for tag, name, _ in page.attributes]


@given(st.text(alphabet=st.one_of(st.sampled_from("<>&\"'/=!-{}%# "), st.characters()), min_size=1, max_size=60))
@settings(deadline=None, max_examples=25)
def test_text_from_outside_is_never_markup(text: str) -> None:
    assert marked(text, probed=False) == marked("harmless", probed=False)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "{{ 7 * 7 }}", "&lt;b&gt;"])
def test_dangerous_names_are_shown_as_they_are(text: str) -> None:
    summary: Summary = samples.hostile(text)
    page = Page(render_html(summary))
    assert page.text.count(text) >= 10
    assert marked(text, probed=True) == marked("harmless", probed=True)
