"""The metrics, and what a verdict says."""

from typing import Literal

Metric = Literal["top1", "top5", "nll", "ece", "brier"]
Verdict = Literal["improved", "no evidence", "worse"]

#: How each metric reads in a table, and whether more is better.
METRICS: dict[Metric, tuple[str, bool]] = {
    "top1": ("top-1 %", True),
    "top5": ("top-5 %", True),
    "nll": ("NLL", False),
    "ece": ("ECE", False),
    "brier": ("Brier", False),
}
