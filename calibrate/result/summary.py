"""The summary: everything a report, a job row or a dashboard needs to know of one run, as JSON without torch."""

import hashlib
import json
from typing import Any, Literal

from calibrate.recipe import Preprocessing, Recipe
from calibrate.result.adapted_scores import Kept
from calibrate.result.answers import Answers
from calibrate.result.artifact import Artifact, Serving
from calibrate.result.label_free import LabelFreeSearch
from calibrate.result.layers import LayerStatistics
from calibrate.result.leaderboard import Leaderboard
from calibrate.result.learning import Learned
from calibrate.result.probes import ProbeResult
from calibrate.result.reestimation import Reestimation
from calibrate.values import Estimate, Metric, Value, Verdict

#: ``alpha`` is a network that weighs examples and is otherwise as it came; ``tuned`` one whose statistics, or γ
#: and β, changed.
Arm = Literal["plain", "T", "alpha", "alpha+T", "tuned", "tuned+T"]


class Scores(Value):
    """One arm's metrics; top-1, top-5 and ECE are fractions of 1, NLL is in nats, Brier is the sum over classes."""

    arm: Arm
    alpha: bool
    temperature: float
    metrics: dict[Metric, Estimate]


class Difference(Value):
    """``arm`` minus ``baseline`` on the same examples (paired bootstrap)."""

    arm: Arm
    baseline: Arm
    metrics: dict[Metric, Estimate]


class Bin(Value):
    """One confidence bin of a reliability diagram; ``confidence`` and ``accuracy`` are means over its examples."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class Measurement(Value):
    """All arms on the n examples of the holdout half, and their paired differences."""

    n: int
    resamples: int
    arms: tuple[Scores, ...]
    differences: tuple[Difference, ...]
    reliability: dict[Arm, tuple[Bin, ...]]

    def arm(self, name: Arm) -> Scores:
        """The scores of the named arm."""
        return {scores.arm: scores for scores in self.arms}[name]

    @property
    def yardstick(self) -> Difference | None:
        """The difference on which the verdict rests: the tuned network with its temperature, against T alone."""
        return next((item for item in self.differences if item.baseline == "T"), None)

    def difference(self, arm: Arm, baseline: Arm) -> Difference:
        """The named paired difference."""
        return {(item.arm, item.baseline): item for item in self.differences}[arm, baseline]


class CurvePoint(Value):
    """The calibration half at one α: accuracy, cross-entropy before and after the best temperature.

    A band is the 95 % interval of the paired difference from the search's first point, added to the value there.
    """

    alpha: float
    temperature: float
    nll: float
    nll_after_temperature: float
    top1: float
    nll_band: tuple[float, float] | None = None
    top1_band: tuple[float, float] | None = None


class AlphaSearch(Value):
    """What the search for α measured, and what it chose.

    The first point is the network as trained, at α = 0 for BatchNorm and 1 for GroupNorm; the others depart from it
    further and further, in ``curve`` too. ``points`` were truly evaluated on the whole calibration half, the optima and
    the chosen α among them. ``curve`` is read off logits interpolated over α; it is empty where ``curve_error``, the
    largest difference in cross-entropy from true evaluations, was too large. Passes are forward passes over the
    calibration half, parts by their share.
    """

    points: tuple[CurvePoint, ...]
    chosen: float
    best_by_nll: float
    best_by_top1: float
    standard_error: float
    reason: str
    passes: float
    curve: tuple[CurvePoint, ...] = ()
    curve_passes: float = 0.0
    curve_error: float | None = None


class SiteSummary(Value):
    """One normalisation layer: all its names in the network, its kind and what was done to it."""

    names: tuple[str, ...]
    kind: str
    channels: int
    alpha: float | tuple[float, ...] | None
    note: str = ""


class ModelFacts(Value):
    """The network as it came."""

    architecture: str
    architecture_args: dict[str, Any]
    parameters: int
    outputs: int
    dtype: str
    fingerprint: str


class TrainingData(Value):
    """The examples of the network's training that the run was given; their labels are not used."""

    source: str
    fingerprint: str
    n: int


class Data(Value):
    """The examples, and how they were split; ``classes_present`` is 0 where they have no labels."""

    source: str
    fingerprint: str
    n: int
    calibration: int
    holdout: int
    classes_present: int
    stratified: bool
    preprocessing: Preprocessing | None
    training: TrainingData | None = None


class Changes(Value):
    """What the tuned network does differently from the one that came."""

    sites: tuple[SiteSummary, ...]
    temperature: float
    temperature_folded_into: str | None


class Finding(Value):
    """Something the reader should know, with a stable code."""

    code: str
    severity: Literal["info", "warning"]
    message: str


class Environment(Value):
    """Where the numbers were made: same environment, seed, batch size and threads give the same bits."""

    afternorm: str
    python: str
    platform: str
    versions: dict[str, str]
    device: str
    threads: int
    batch_size: int


class Timings(Value):
    """Wall-clock seconds per stage, and forward passes in units of one pass over the calibration half.

    An example that was learned from counts three passes: learning goes forward once, and back for twice the cost.
    """

    seconds: dict[str, float]
    passes: float


class Summary(Value):
    """One run, whole."""

    version: Literal[1] = 1
    recipe: Recipe
    recipe_digest: str
    model: ModelFacts
    data: Data
    changes: Changes
    search: AlphaSearch | None
    measurement: Measurement | None
    verdict: Verdict | None
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    environment: Environment
    timings: Timings
    artifacts: tuple[Artifact, ...] = ()
    layers: tuple[LayerStatistics, ...] = ()
    reestimations: tuple[Reestimation, ...] = ()
    probes: tuple[ProbeResult, ...] = ()
    kept: tuple[Kept, ...] = ()
    learned: tuple[Learned, ...] = ()
    label_free: tuple[LabelFreeSearch, ...] = ()
    answers: Answers | None = None
    leaderboard: Leaderboard | None = None
    serving: tuple[Serving, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the result: everything but timings, the files that were written and how fast they are."""
        fields = self.model_dump(mode="json", exclude={"timings", "artifacts", "serving"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
