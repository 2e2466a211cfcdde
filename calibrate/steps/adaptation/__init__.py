"""The probe ``adaptation``: test-time adaptation methods on streams, side by side."""

from calibrate.steps.adaptation.result import Adaptation
from calibrate.steps.adaptation.scores import (
    MethodScores,
    StreamDiagnosis,
    StreamMeasures,
    StreamScores,
    StreamWarning,
    StreamWarningCode,
)
from calibrate.steps.adaptation.step import ProbeAdaptation

__all__ = [
    "Adaptation",
    "MethodScores",
    "ProbeAdaptation",
    "StreamDiagnosis",
    "StreamMeasures",
    "StreamScores",
    "StreamWarning",
    "StreamWarningCode",
]
