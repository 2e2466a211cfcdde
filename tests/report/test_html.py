"""The HTML report: well-formed, self-contained, deaf to what names contain, and equal in numbers to the text."""

import re
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.report import render_html, render_text
from calibrate.result import Changes, Summary
from tests import samples

VOID = {"meta", "br", "hr", "img", "link", "input"}
LOADING = {"src", "href", "xlink:href", "srcset", "data", "action", "poster", "background", "ping", "formaction"}


class Page(HTMLParser):
    """A page taken apart; fails on a tag that closes another or is never closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def values(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


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
    numbers = re.findall(r"[-+]?\d[\d.,]*\d(?:e-\d+)?", render_text(samples.summary()))
    assert [number for number in numbers if number not in shown] == []


def test_the_recipe_is_shown_whole_with_its_digest(html: str) -> None:
    summary = samples.summary()
    shown = Page(html).text
    assert " ".join(summary.recipe.model_dump_json(indent=2).split()) in shown
    assert summary.recipe_digest in shown


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"measurement": None, "verdict": None, "reasons": ()}, "this run measured nothing"),
        ({"measurement": None, "verdict": None, "reasons": ()}, "counted no confidences"),
        ({"measurement": samples.measurement(("plain", "T")), "verdict": None}, "Absent: alpha+T minus T"),
        ({"search": None}, "curve over α is absent"),
        ({"layers": ()}, "Absent: the network has no batch normalisation layers"),
        ({"answers": None}, "compared no tuned network"),
        ({"artifacts": (), "search": None}, "No files were written"),
        ({"findings": (), "search": None}, "None."),
    ],
)
def test_what_is_absent_is_said_and_no_section_is_dropped(html: str, changed: dict[str, object], said: str) -> None:
    page, whole = Page(render_html(samples.summary(**changed))), Page(html)
    assert said in page.text
    assert said not in whole.text
    assert page.tags.count("section") == whole.tags.count("section")


def test_figures_are_there_only_with_their_data(html: str) -> None:
    assert Page(html).tags.count("svg") == 3
    assert Page(render_html(samples.summary(search=None))).tags.count("svg") == 2
    assert Page(render_html(samples.summary(search=None, measurement=None, verdict=None))).tags.count("svg") == 1
    assert "svg" not in Page(render_html(samples.summary(search=None, measurement=None, verdict=None, layers=()))).tags


@pytest.mark.parametrize(("number", "shut"), [(3, False), (100, True)])
def test_every_site_is_listed_and_a_long_list_starts_folded(number: int, shut: bool) -> None:
    changes = Changes(sites=samples.sites(number), temperature=1.0, temperature_folded_into=None)
    bare = {"search": None, "measurement": None, "verdict": None, "layers": samples.layers(number)}
    page = Page(render_html(samples.summary(changes=changes, **bare)))
    assert all(name in page.text for site in changes.sites for name in site.names)
    assert (("details", "open", "") not in page.attributes) is shut


def test_rendering_twice_gives_the_same_bytes(html: str) -> None:
    assert render_html(samples.summary()) == html


@cache
def marked(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    page = Page(render_html(samples.hostile(text)))
    return page.tags, [(tag, name) for tag, name, _ in page.attributes]


@given(st.text(alphabet=st.one_of(st.sampled_from("<>&\"'/=!-{}%# "), st.characters()), min_size=1, max_size=60))
@settings(deadline=None, max_examples=25)
def test_text_from_outside_is_never_markup(text: str) -> None:
    assert marked(text) == marked("harmless")


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "{{ 7 * 7 }}", "&lt;b&gt;"])
def test_dangerous_names_are_shown_as_they_are(text: str) -> None:
    summary: Summary = samples.hostile(text)
    page = Page(render_html(summary))
    assert page.text.count(text) >= 10
    assert marked(text) == marked("harmless")
