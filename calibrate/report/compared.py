"""One run of a comparison, and its numbers as flat fields."""

from dataclasses import dataclass
from typing import Literal

from calibrate.result import Latency, Summary
from calibrate.steps import Arm
from calibrate.values import Metric

Field = str | int | float | None

COMPARED: tuple[Metric, ...] = ("top1", "nll")
ARMS: dict[Arm, str] = {"original": "original", "T": "t", "alpha+T": "alpha_t", "tuned+T": "tuned_t"}


@dataclass(frozen=True, slots=True)
class Compared:
    """A run by its names (model, dataset, recipe): finished with a summary, failed with an error, or not run."""

    names: tuple[str, str, str]
    summary: Summary | None = None
    error: str = ""

    @property
    def name(self) -> str:
        """All names in one."""
        return "/".join(self.names)

    @property
    def state(self) -> Literal["finished", "failed", "not run"]:
        """How far the run came."""
        if self.summary is not None:
            return "finished"
        return "failed" if self.error else "not run"

    @property
    def latency(self) -> Latency | None:
        """Tuned over original at the smallest batch that was timed."""
        timed = [item for artifact in self.summary.artifacts for item in artifact.latency] if self.summary else []
        return min(timed, key=lambda item: item.batch_size, default=None)

    def fields(self) -> dict[str, Field]:
        """Every number by its name; the names are the same for every run, and what is absent is None.

        ``change_*`` are alpha+T, or tuned+T, minus T; ``alpha_low`` and ``alpha_high`` span the layers and channels.
        """
        measurement = self.summary.measurement if self.summary else None
        arms = {scores.arm: scores.metrics for scores in measurement.arms} if measurement else {}
        difference = measurement.verdict_difference if measurement else None
        alphas = self.summary.changes.alphas if self.summary else ()
        fields: dict[str, Field] = {
            **dict(zip(("model", "dataset", "recipe"), self.names, strict=True)),
            "state": self.state,
            "verdict": self.summary.verdict if self.summary else None,
            "n": measurement.n if measurement else None,
            "alpha_low": min(alphas, default=None),
            "alpha_high": max(alphas, default=None),
            "temperature": self.summary.changes.temperature if self.summary else None,
        }
        for metric in COMPARED:
            for arm, suffix in ARMS.items():
                fields[f"{metric}_{suffix}"] = arms[arm][metric].value if arm in arms else None
            for bound, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
                change = getattr(difference.metrics[metric], bound) if difference else None
                fields[f"change_{metric}{suffix}"] = change
        for name in ("batch_size", "ratio", "ratio_low", "ratio_high"):
            fields[f"latency_{name}"] = getattr(self.latency, name) if self.latency else None
        fields["result"] = self.summary.digest if self.summary else None
        fields["error"] = self.error or None
        return fields
