"""The step ``auto``: several candidates tried, and the one that is proven to help recommended."""

from calibrate.steps.auto.result import ORIGINAL, TAKEN, HoldoutScores, Leaderboard, LeaderboardRow, Rung
from calibrate.steps.auto.step import CANDIDATES, QUICK, TUNING_KINDS, Auto, Candidate, TuningStep

__all__ = [
    "CANDIDATES",
    "ORIGINAL",
    "QUICK",
    "TAKEN",
    "TUNING_KINDS",
    "Auto",
    "Candidate",
    "HoldoutScores",
    "Leaderboard",
    "LeaderboardRow",
    "Rung",
    "TuningStep",
]
