"""The sections of all probes, and the one table that says which function writes which."""

from collections.abc import Callable, Mapping
from typing import Any

from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.report.probes.adaptation import adaptation_sections
from calibrate.report.probes.channel_health import channel_health_section
from calibrate.report.probes.corruptions import corruptions_section
from calibrate.report.probes.estimation_shift import estimation_shift_section
from calibrate.report.probes.output_bound import output_bound_section
from calibrate.report.probes.statistic_noise import statistic_noise_section
from calibrate.result import (
    Adaptation,
    ChannelHealth,
    Corruptions,
    EstimationShift,
    NotApplicable,
    OutputBound,
    StatisticNoise,
    Summary,
)


def probe_sections(summary: Summary) -> tuple[Section, ...]:
    """The sections of each probe, in the order of the recipe."""
    made = (SECTIONS[type(result)](result, place) for place, result in enumerate(summary.probes))
    return tuple(section for one in made for section in (one if isinstance(one, tuple) else (one,)))


def _not_applicable(result: NotApplicable, place: int) -> Section:  # noqa: ARG001  (it has no figure to name)
    title = fmt.printable(result.probe).replace("_", " ").capitalize()
    return Section(title, (f"Not applicable: {fmt.printable(result.reason)}.",))


#: Which function writes which result's section, or sections; it is also given the result's place, to name figures by.
SECTIONS: Mapping[type, Callable[[Any, int], Section | tuple[Section, ...]]] = {
    EstimationShift: estimation_shift_section,
    Corruptions: corruptions_section,
    OutputBound: output_bound_section,
    ChannelHealth: channel_health_section,
    StatisticNoise: statistic_noise_section,
    Adaptation: adaptation_sections,
    NotApplicable: _not_applicable,
}
