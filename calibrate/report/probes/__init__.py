"""How each probe reads, one probe a file."""

from calibrate.report.probes.sections import probe_sections

__all__ = ["probe_sections"]
