"""Many runs: every model of a manifest with every dataset and every recipe, each in a process of its own. No torch."""

from calibrate.batch.cells import Combination, read_cells
from calibrate.batch.hold import held
from calibrate.batch.outcome import COMPARISON, compare, write_comparison
from calibrate.batch.record import Record
from calibrate.batch.run import BatchRun, plan_runs, run_batch

__all__ = [
    "COMPARISON",
    "BatchRun",
    "Combination",
    "Record",
    "compare",
    "held",
    "plan_runs",
    "read_cells",
    "run_batch",
    "write_comparison",
]
