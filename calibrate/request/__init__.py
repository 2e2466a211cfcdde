"""The request: one value that commands, batches and jobs alike have carried out. No torch here."""

from calibrate.request.run_request import ExportRequest, Requirement, RunRequest
from calibrate.request.terms import COMMAND_LINE, JOB, MANIFEST, Terms, in_terms, told_in

__all__ = [
    "COMMAND_LINE",
    "JOB",
    "MANIFEST",
    "ExportRequest",
    "Requirement",
    "RunRequest",
    "Terms",
    "in_terms",
    "told_in",
]
