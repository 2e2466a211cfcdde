"""Pages as one self-contained HTML file: no script, no request."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from calibrate.page.figure import Figure
from calibrate.page.section import Fact, Section

if TYPE_CHECKING:
    from markupsafe import Markup

#: Longer tables open on demand, but on a page that is all tables.
OPEN_ROWS = 12


def html_page(
    title: str, heading: Sequence[Fact], sections: Sequence[Section], pictures: Mapping[int, bytes], *, wide: bool
) -> str:
    """The page; what it is given is escaped, and the same page gives the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(
        title=title,
        heading=heading,
        sections=[(section, _drawn(section.figure, f"figure-{place}")) for place, section in enumerate(sections)],
        pictures={place: f"data:image/png;base64,{b64encode(png).decode()}" for place, png in pictures.items()},
        wide=wide,
        open_rows=OPEN_ROWS,
    )


def _drawn(figure: Figure | None, name: str) -> "Markup | None":
    from markupsafe import Markup

    from calibrate.report.draw import svg

    return Markup(svg(figure, name)) if figure else None  # noqa: S704
