"""The sections of a run's probes."""

from calibrate.page.section import Section
from calibrate.result import Summary


def probe_sections(summary: Summary) -> tuple[Section, ...]:
    """The sections of each probe, in the order of the recipe."""
    return tuple(section for result in summary.probes for section in result.sections())
