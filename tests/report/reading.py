"""Reports as a reader sees them: their words and headings, read back from each format."""

import base64
import re
from dataclasses import dataclass
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.token import Token

from calibrate.report import render_html, render_markdown, render_text
from calibrate.result import Summary

VOID = {"meta", "br", "hr", "img", "link", "input"}
#: Elements whose words do not run into those after them.
APART = {"td", "th", "dt", "dd", "p", "li", "h1", "h2", "title", "style", "text", "small"}
LOADING = {"src", "href", "xlink:href", "srcset", "data", "action", "poster", "background", "ping", "formaction"}

#: A picture of one pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Page(HTMLParser):
    """A page taken apart; fails on a tag that closes another or is never closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.headings: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "h2":
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()
        if tag in APART:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if "h2" in self.open:
            self.headings[-1] += data

    @property
    def text(self) -> str:
        return flat("".join(self.words))

    def values(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


def flat(text: str) -> str:
    """One space between words."""
    return " ".join(text.split())


def tokens(markdown: str) -> list[Token]:
    return READER.parse(markdown)


def shown(markdown: str) -> str:
    """What a reader of the markdown sees, one block after the other."""
    blocks = (token.children for token in tokens(markdown) if token.children)
    return " ".join("".join(child.content for child in block) for block in blocks)


def text_headings(text: str) -> list[str]:
    """The underlined lines, but for the title."""
    return [flat(heading) for heading in re.findall(r"\n\n((?:.+\n)+?)-+(?:\n|$)", text)]


def markdown_headings(markdown: str) -> list[str]:
    """The headings below the title."""
    found = tokens(markdown)
    places = [place for place, token in enumerate(found) if token.type == "heading_open" and token.tag == "h2"]
    return ["".join(child.content for child in found[place + 1].children or []) for place in places]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader sees of a report: its words, with one space between them, and the headings below its title."""

    words: str
    headings: list[str]


def read(summary: Summary) -> dict[str, Seen]:
    """The report in each format."""
    text, markdown, html = render_text(summary), render_markdown(summary), Page(render_html(summary))
    return {
        "text": Seen(flat(text), text_headings(text)),
        "markdown": Seen(flat(shown(markdown)), markdown_headings(markdown)),
        "html": Seen(html.text, [flat(heading) for heading in html.headings]),
    }


def numbers(words: str) -> set[str]:
    """The numbers in them, of two digits or more."""
    return set(re.findall(r"[-+]?\d[\d.,]*\d(?:e-\d+)?", words))
