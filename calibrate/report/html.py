"""The report as one self-contained HTML file: no script, no request."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.report import facts
from calibrate.report.alpha_figures import alpha_curve, label_free_curve
from calibrate.report.answers import (
    NO_ANSWERS,
    NO_CHANGES,
    answers_words,
    changed_examples,
    classes_table,
    classes_words,
    examples_words,
)
from calibrate.report.changed import site_cells, site_groups
from calibrate.report.layers import NO_LAYERS, layers_table, layers_words
from calibrate.report.layers_figure import layers_over_depth
from calibrate.report.leaderboard import leaderboard_sections
from calibrate.report.learned import learned_sections, probe_sections
from calibrate.report.reliability_figure import reliability
from calibrate.report.rows import (
    NO_DIFFERENCES,
    NO_SCORES,
    difference_words,
    differences_table,
    scores_table,
    top5_note,
)
from calibrate.report.verdict import verdict_sentence
from calibrate.report.written_files import NO_FILES, files
from calibrate.result import Summary

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def templates() -> "Environment":
    """The templates of all pages: what they are given is escaped, and what they are not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_html(summary: Summary, thumbnails: Mapping[int, bytes] | None = None) -> str:
    """The report as HTML; the same summary gives the same bytes.

    ``thumbnails`` are PNG files of examples, by their index in the data; those of the listed examples are shown.
    """
    from markupsafe import Markup

    from calibrate.report.draw import svg

    measurement, search, answers, layers = summary.measurement, summary.search, summary.answers, summary.layers
    diagram = (
        svg(reliability(measurement), "reliability") if measurement and any(measurement.reliability.values()) else None
    )
    return (
        templates()
        .get_template("report.html.jinja")
        .render(
            title=facts.title(summary),
            verdict=summary.verdict,
            sentence=verdict_sentence(summary),
            reasons=[fmt.printable(reason) for reason in summary.reasons],
            heading=facts.heading_facts(summary),
            scores=scores_table(measurement) if measurement else None,
            no_scores=NO_SCORES,
            measured_on=facts.measured_on(summary),
            interval_words=facts.interval_words(measurement) if measurement else "",
            top5_note=top5_note(summary),
            differences=differences_table(measurement) if measurement and measurement.differences else None,
            no_differences=NO_DIFFERENCES,
            difference_words=difference_words(measurement) if measurement else "",
            alpha_curve=Markup(svg(alpha_curve(search), "alpha-curve")) if search and search.points else None,  # noqa: S704
            label_free=[
                Markup(svg(label_free_curve(item), f"label-free-{place}"))  # noqa: S704
                for place, item in enumerate(summary.label_free)
                if item.points
            ],
            reliability=Markup(diagram) if diagram else None,  # noqa: S704
            answers_words=answers_words(answers) if answers else "",
            classes=classes_table(answers) if answers else None,
            classes_words=classes_words(answers) if answers else "",
            no_answers=NO_ANSWERS,
            examples=changed_examples(answers, thumbnails or {}) if answers else (),
            examples_words=examples_words(summary, answers) if answers else "",
            no_changes=NO_CHANGES,
            layers=layers_table(layers) if layers else None,
            layer_plot=Markup(svg(layers_over_depth(layers), "layers")) if layers else None,  # noqa: S704
            layers_words=layers_words(),
            no_layers=NO_LAYERS,
            leaderboard=_drawn(leaderboard_sections(summary), "leaderboard"),
            probes=_drawn((*learned_sections(summary), *probe_sections(summary)), "probe"),
            choice=facts.choice_facts(summary),
            groups=site_groups(summary.changes),
            sites=[site_cells(site) for site in summary.changes.sites],
            files=files(summary),
            no_files=NO_FILES,
            findings=facts.finding_facts(summary),
            no_findings=facts.NO_FINDINGS,
            recipe=json.dumps(summary.recipe.model_dump(mode="json"), indent=2),
            made=(*facts.environment_facts(summary), *facts.fingerprint_facts(summary)),
        )
    )


def _drawn(sections: Iterable[Section], name: str) -> list[tuple[Section, "Markup | None"]]:
    """The sections, each with its figure."""
    from markupsafe import Markup

    from calibrate.report.draw import svg

    return [
        (section, Markup(svg(section.figure, f"{name}-{place}")) if section.figure else None)  # noqa: S704
        for place, section in enumerate(sections)
    ]
