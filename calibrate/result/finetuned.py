"""What a fine-tuning did: its course, the epoch that was kept, and its scores on data that it never saw."""

import hashlib
import json
from itertools import pairwise
from typing import Any, Literal

from pydantic import model_validator

from calibrate.recipe import FineTuning, Preprocessing
from calibrate.result.findings import Finding
from calibrate.result.summary import Environment, ModelFacts
from calibrate.result.version_1 import fine_tuned_from_version_1, reading
from calibrate.steps import Measurement
from calibrate.values import Value


class Epoch(Value):
    """One epoch: its phase, the backbone's rate at its end, mean losses, and the validation split's scores.

    ``loss`` is what was minimised, ``penalty`` its part that is not of the predictions.
    """

    phase: int
    lr: float
    loss: float
    penalty: float
    top1: float | None
    nll: float | None


class FineTuningData(Value):
    """The examples: how many of each kind, of which classes, and where they come from."""

    source: str
    fingerprint: str
    test_source: str
    test_fingerprint: str
    classes: tuple[str, ...]
    training: int
    validation: int
    test: int
    preprocessing: Preprocessing | None


class LayerHistogram(Value):
    """The weights of one layer at each record, the first before the training: counts in bins of one width, variances.

    What lies beyond ``low`` and ``high`` is counted in the outermost bins.
    """

    name: str
    low: float
    high: float
    counts: tuple[tuple[int, ...], ...]
    variances: tuple[float, ...]

    @property
    def variance_differences(self) -> tuple[float, ...]:
        """By how much the variance changed from each record to the next."""
        return tuple(after - before for before, after in pairwise(self.variances))


class FineTuned(Value):
    """One fine-tuning, whole; ``best`` is the number of the epoch that was kept, counted from 0.

    Those of version 1 are read too, and become of version 2.
    """

    version: Literal[2] = 2
    recipe: FineTuning
    recipe_digest: str
    request: str
    model: ModelFacts
    head: str
    head_is_fresh: bool
    data: FineTuningData
    epochs: tuple[Epoch, ...]
    best: int
    measurement: Measurement
    fingerprint: str
    findings: tuple[Finding, ...]
    environment: Environment
    seconds: float
    histograms: tuple[LayerHistogram, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, document: Any) -> Any:
        return reading(document, fine_tuned_from_version_1)

    @property
    def digest(self) -> str:
        """SHA-256 of the result: everything but the time that it took."""
        fields = self.model_dump(mode="json", exclude={"seconds"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
