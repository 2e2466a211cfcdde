"""The record of a run: the last file written into its folder, and what makes the run count as ended."""

import json
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from calibrate.atomic import replace_files
from calibrate.result import Summary, digest_of
from calibrate.values import Value

RECORD = "run.json"
SUMMARY = "summary.json"


class Record(Value):
    """How a run ended: what was asked for, its exit code, the digest of its result, the error in one line."""

    version: Literal[1] = 1
    request: str
    exit_code: int
    result: str | None
    error: str


def write_record(folder: Path, record: Record) -> None:
    """Write ``record`` into ``folder``, whole or not at all."""
    replace_files(folder, {RECORD: (record.model_dump_json(indent=2) + "\n").encode()}, durable=True)


def read_record(folder: Path) -> Record | None:
    """The record in ``folder``; None where there is none that can be read."""
    try:
        return Record.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def read_summary(folder: Path, result: str | None = None) -> Summary | None:
    """The summary in ``folder``, of this version or an earlier one.

    None where there is none that can be read, a file that it lists is not whole, or its digest is not ``result``.
    """
    try:
        content = (folder / SUMMARY).read_bytes()
        summary = Summary.model_validate_json(content)
        whole = all((folder / item.name).stat().st_size == item.bytes for item in summary.artifacts)
    except (OSError, ValueError):  # a name with a NUL is a ValueError, and so is what is no summary
        return None
    return summary if whole and result in (None, digest_of(json.loads(content))) else None
