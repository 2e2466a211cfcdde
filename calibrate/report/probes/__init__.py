"""How each probe reads, one probe a file."""

from calibrate.report.probes.section import Section
from calibrate.report.probes.sections import probe_sections

__all__ = ["Section", "probe_sections"]
