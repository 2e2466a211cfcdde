"""A page: a heading, sections and how it was made, as text, as markdown and as one self-contained HTML file."""

from collections.abc import Mapping
from dataclasses import dataclass

from calibrate.page.section import Fact, Section
from calibrate.report.html import html_page
from calibrate.report.markdown import markdown_page
from calibrate.report.text import text_page


@dataclass(frozen=True, slots=True)
class Page:
    """What all formats show, in the same order; figures and pictures only HTML has. ``wide`` gives tables more room."""

    title: str
    heading: tuple[Fact, ...]
    sections: tuple[Section, ...]
    made: tuple[Fact, ...] = ()
    wide: bool = False

    @property
    def all_sections(self) -> tuple[Section, ...]:
        """The sections, and how it was made."""
        return (*self.sections, *((Section("How it was made", facts=self.made),) if self.made else ()))

    def text(self, *, details: bool = True) -> str:
        """Lines of at most 100 columns, where the tables allow it; without ``details`` for who wants the essence."""
        sections = [section for section in self.all_sections if details or not section.detail]
        return text_page(self.title, self.heading, sections)

    def markdown(self) -> str:
        """GitHub-flavoured markdown."""
        return markdown_page(self.title, self.heading, self.all_sections)

    def html(self, pictures: Mapping[int, bytes] | None = None) -> str:
        """One page: no script, no request; the same page gives the same bytes.

        ``pictures`` are PNG files of examples, by their place in the data; those that tables name are shown.
        """
        return html_page(self.title, self.heading, self.all_sections, pictures or {}, wide=self.wide)
