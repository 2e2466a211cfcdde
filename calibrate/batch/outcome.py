"""The comparison of a batch's runs, and its three files.

Of runs that failed it has the error in place of the numbers.
"""

from collections.abc import Sequence
from pathlib import Path

from calibrate.atomic import replace_files
from calibrate.batch.run import BatchRun
from calibrate.errors import UsageError
from calibrate.report import BatchComparison, Compared

COMPARISON = "comparison.json"


def compare(runs: Sequence[BatchRun]) -> BatchComparison:
    """The runs side by side; of those that failed, their errors."""
    return BatchComparison(
        tuple(Compared(run.cell.names, run.summary, run.record.error if run.record else "") for run in runs)
    )


def write_comparison(comparison: BatchComparison, out: Path) -> None:
    """Write comparison.html, comparison.csv and comparison.json into ``out``, each appearing whole."""
    files = {"comparison.html": comparison.html(), "comparison.csv": comparison.csv(), COMPARISON: comparison.json()}
    try:
        replace_files(out, {name: content.encode() for name, content in files.items()})
    except OSError as error:
        raise UsageError(f"the comparison cannot be written to {out}: {error.strerror}; pass another --out.") from None
