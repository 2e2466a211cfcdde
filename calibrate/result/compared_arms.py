"""Ways of fine-tuning side by side, over the same seeds."""

import hashlib
import json
from typing import Literal

from calibrate.recipe import FineTuning
from calibrate.result.finetuned import FineTuningData
from calibrate.result.summary import Environment, ModelFacts
from calibrate.values import Value

#: What arms are compared by.
ComparedMetric = Literal["top1", "nll"]


class PairedTest(Value):
    """A one-sided paired t-test of being better than the baseline arm, over the seeds.

    ``mean`` is the mean difference, arm minus baseline; ``t`` is above 0 where the arm is better, and None where it has
    no finite value, since the difference is the same for each seed.
    """

    mean: float
    t: float | None
    p: float
    significant: bool


class LayerDifference(Value):
    """How one layer's weights differ between an arm and the baseline, from the first seed.

    ``counts`` are those after the training minus the baseline's, in bins of one width from ``low`` to ``high``, with
    what lies beyond in the outermost; ``weights`` is how many there are. Both variances are those at each record.
    """

    name: str
    low: float
    high: float
    weights: int
    counts: tuple[int, ...]
    variances: tuple[float, ...]
    baseline_variances: tuple[float, ...]

    @property
    def moved(self) -> float:
        """The least share of the weights that must change bins to make one histogram of the other."""
        return sum(map(abs, self.counts)) / 2 / self.weights


class ArmResult(Value):
    """One arm: its recipe but for the seed, its test scores for each seed, their means and standard deviations.

    ``tests`` is empty for the baseline; ``results`` are the digests of the single fine-tunings. ``layers`` are some of
    those that start with the baseline's weights, where both keep histograms.
    """

    name: str
    recipe: FineTuning
    scores: dict[ComparedMetric, tuple[float, ...]]
    means: dict[ComparedMetric, float]
    deviations: dict[ComparedMetric, float]
    tests: dict[ComparedMetric, PairedTest]
    results: tuple[str, ...]
    layers: tuple[LayerDifference, ...] = ()


class ComparedArms(Value):
    """A comparison, whole; ``data`` are those of the first fine-tuning, whose sizes hold for all of the baseline."""

    version: Literal[1] = 1
    baseline: str
    level: float
    seeds: tuple[int, ...]
    arms: tuple[ArmResult, ...]
    model: ModelFacts
    data: FineTuningData
    environment: Environment
    seconds: float

    @property
    def digest(self) -> str:
        """SHA-256 of the result: everything but the time that it took."""
        fields = self.model_dump(mode="json", exclude={"seconds"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
