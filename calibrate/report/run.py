"""The report of a run: its verdict, what came of each step, and the network, as one page."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from calibrate.errors import require_kind
from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.report.changed import network_section
from calibrate.report.facts import environment_facts, finding_facts, fingerprint_facts, heading_facts, title
from calibrate.report.layers import layers_section
from calibrate.report.page import Page
from calibrate.report.verdict import verdict_section
from calibrate.report.written_files import files_section, serving_section
from calibrate.request import COMMAND_LINE, Terms, in_terms
from calibrate.result import Summary
from calibrate.steps import InputFit


def run_page(summary: Summary, terms: Terms = COMMAND_LINE) -> Page:
    """The page of one run; its sentences speak of what was asked for in ``terms``."""
    require_kind(summary, Summary, "summary", "the `summary` of an outcome")
    return Page(
        title=title(summary),
        heading=heading_facts(summary),
        sections=tuple(section.reworded(partial(in_terms, terms=terms)) for section in _sections(summary)),
        made=(
            *environment_facts(summary),
            ("recipe, whole", fmt.printable(json.dumps(json.loads(summary.recipe.canonical), ensure_ascii=False))),
            *fingerprint_facts(summary),
        ),
    )


def _sections(summary: Summary) -> tuple[Section, ...]:
    """What the run says, the verdict first."""
    serving = (serving_section(summary.serving),) if summary.serving else ()
    return (
        verdict_section(summary),
        _findings(summary),
        *(_input_fit(summary) if _misfits(summary) else ()),
        *(section for outcome in summary.outcomes for section in outcome.sections()),
        *serving,
        network_section(summary),
        layers_section(summary.layers, summary.changes),
        *(() if _misfits(summary) else _input_fit(summary)),
        files_section(summary),
    )


def render_text(summary: Summary, *, details: bool = True, terms: Terms = COMMAND_LINE) -> str:
    """The report as lines of at most 100 columns, without figures; without ``details`` for a terminal."""
    return run_page(summary, terms).text(details=details)


def render_markdown(summary: Summary, *, terms: Terms = COMMAND_LINE) -> str:
    """The report as GitHub-flavoured markdown, without figures and pictures."""
    return run_page(summary, terms).markdown()


def render_html(summary: Summary, thumbnails: Mapping[int, bytes] | None = None, *, terms: Terms = COMMAND_LINE) -> str:
    """The report as one HTML file: no script, no request; the same summary gives the same bytes.

    ``thumbnails`` are PNG files of examples, by their place in the data; those of the listed examples are shown.
    """
    return run_page(summary, terms).html(thumbnails)


def render_brief(summary: Summary) -> str:
    """The part of the report that matters most, as text: the verdict, and the scores it rests on."""
    scores = summary.measurement.sections()[:1] if summary.measurement else ()
    return Page(title(summary), heading_facts(summary), (verdict_section(summary), *scores)).text()


def _misfits(summary: Summary) -> bool:
    return isinstance(summary.input_fit, InputFit) and summary.input_fit.misfits


def _input_fit(summary: Summary) -> tuple[Section, ...]:
    """How the inputs fit the network that came: for who reads it all, unless they do not."""
    fit = summary.input_fit
    if fit is None or fit in summary.outcomes:
        return ()
    return tuple(replace(section, detail=not _misfits(summary)) for section in fit.sections())


def _findings(summary: Summary) -> Section:
    facts = finding_facts(summary.findings)
    return Section("Findings", () if facts else ("None.",), facts=facts)
