"""A run: the state that a recipe's steps work on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Source, Split
from calibrate.engine.handler import Handlers
from calibrate.engine.passes.prediction import Setting, predict, predict_each
from calibrate.engine.trials.store import Trials, trial_key
from calibrate.result import Finding, ProbeResult, Progress
from calibrate.search import FittedTemperature, fit_temperature
from calibrate.steps import (
    AlphaSearch,
    Answers,
    Arm,
    Kept,
    LabelFreeSearch,
    Leaderboard,
    Learned,
    Measurement,
    Reestimation,
    StepValue,
    TunedArm,
)
from calibrate.surgery import Look
from calibrate.values import Verdict

#: The arms of a network that weighs examples and is otherwise as it came, and of one whose statistics, or γ and β,
#: changed.
WEIGHED: tuple[Arm, TunedArm] = ("alpha", "alpha+T")
TUNED: tuple[Arm, TunedArm] = ("tuned", "tuned+T")


@dataclass(eq=False)
class Run:
    """The original network (``plain``, never changed), as it stands (``model``), and what was measured of both.

    ``held_back`` are the ascending rows of the calibration half that no gradient step of ``model`` saw; None is all.
    ``forwards`` counts images passed through a network; one that was learned from counts 3, for the way back too.
    ``handlers`` carry out the steps that a step holds. A search for the best notes its ``leaderboard``, the networks to
    time (``graphs``), the steps of the candidate that it kept, and the source that it measured on, where that is
    another.
    """

    plain: nn.Module
    model: nn.Module
    source: Source
    split: Split
    look: Look
    setting: Setting
    seed: int
    trials: Trials | None = None
    handlers: Handlers = field(default_factory=dict)
    training: Source | None = None
    temperature: float = 1.0
    changed: bool = False
    reestimations: list[Reestimation] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    learned: list[Learned] = field(default_factory=list)
    search: AlphaSearch | None = None
    label_free: list[LabelFreeSearch] = field(default_factory=list)
    measurement: Measurement | None = None
    answers: Answers | None = None
    leaderboard: Leaderboard | None = None
    graphs: dict[str, nn.Module] = field(default_factory=dict)
    kept_steps: tuple[StepValue, ...] = ()
    measured_source: Source | None = None
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    probes: list[ProbeResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    forwards: int = 0
    plain_calibration: Tensor | None = None
    model_calibration: Tensor | None = None
    held_back: Tensor | None = None

    def labels_of(self, indices: NDArray[np.int64]) -> Tensor:
        """Labels of the examples ``indices``, of data that have them."""
        assert self.source.labels is not None, "check_labels refuses a recipe whose steps need them"
        return torch.from_numpy(self.source.labels[indices])

    @property
    def calibration_labels(self) -> Tensor:
        """Labels of the calibration half."""
        return self.labels_of(self.split.calibration)

    @property
    def holdout_labels(self) -> Tensor:
        """Labels of the holdout half."""
        return self.labels_of(self.split.holdout)

    @property
    def tuned_arms(self) -> tuple[Arm, TunedArm]:
        """What the network as it stands is called, once it is changed: without its temperature, and with it."""
        affine = any(kept.learned for kept in self.kept) or any(item.kind == "tune_affine" for item in self.learned)
        return TUNED if self.reestimations or affine else WEIGHED

    def on_calibration(self, model: nn.Module, stage: str, rows: Tensor | None = None) -> Tensor:
        """Logits of the calibration half, or of its examples ``rows``, ascending."""
        indices = self.split.calibration if rows is None else self.split.calibration[rows.numpy()]
        return self._pass(model, indices, stage)

    def at_work(self, model: nn.Module, stage: str) -> Tensor:
        """Logits of the calibration half, never recalled: for who watches ``model`` at work."""
        self.forwards += len(self.split.calibration)
        return predict(model, self.source, self.split.calibration, self.setting, stage)

    def on_holdout(self, model: nn.Module, stage: str, rows: Tensor | None = None) -> Tensor:
        """Logits of the holdout half, or of its examples ``rows``, ascending."""
        indices = self.split.holdout if rows is None else self.split.holdout[rows.numpy()]
        return self._pass(model, indices, stage)

    def change_(self) -> None:
        """Note that the network as it stands is no longer the one that was last looked at."""
        self.changed = True
        self.model_calibration = None

    def plain_logits(self) -> Tensor:
        """Logits of the calibration half from the original network."""
        if self.plain_calibration is None:
            self.plain_calibration = self.on_calibration(self.plain, "temperature")
        return self.plain_calibration

    def model_logits(self) -> Tensor:
        """Logits of the calibration half from the network as it stands."""
        if not self.changed:
            return self.plain_logits()
        if self.model_calibration is None:
            self.model_calibration = self.on_calibration(self.model, "temperature")
        return self.model_calibration

    def plain_temperature(self) -> FittedTemperature:
        """The temperature of the original network, fitted on the calibration half."""
        return fit_temperature(self.plain_logits(), self.calibration_labels)

    def model_temperature(self) -> FittedTemperature:
        """The temperature of the network as it stands, fitted on the calibration half, or what was held back of it.

        On what it learned from a network is surer than it is right elsewhere, and T would keep it so.
        """
        logits, labels = self.model_logits(), self.calibration_labels
        if self.held_back is not None:
            logits, labels = logits[self.held_back], labels[self.held_back]
        return fit_temperature(logits, labels)

    def find(self, code: str, message: str, severity: Literal["info", "warning"] = "warning") -> None:
        """Note a finding for the summary, once."""
        finding = Finding(code=code, severity=severity, message=message)
        if finding not in self.findings:
            self.findings.append(finding)

    def side_by_side(
        self, models: Sequence[nn.Module], source: Source, indices: NDArray[np.int64], stage: str
    ) -> list[Tensor]:
        """Logits of each of ``models`` for the same inputs, the examples ``indices`` of ``source``, made once for all.

        They are recalled, or made and kept; either way the passes count.
        """
        self.forwards += len(models) * len(indices)
        if self.trials is None:
            return predict_each(models, source, indices, self.setting, stage)
        keys = [trial_key(model, source, indices) for model in models]
        logits = {key: kept for key in keys if (kept := self.trials.recall(key)) is not None}
        missing = {key: model for key, model in zip(keys, models, strict=True) if key not in logits}
        if missing:
            made = predict_each(list(missing.values()), source, indices, self.setting, stage)
            for key, new in zip(missing, made, strict=True):
                self.trials.keep(key, stage, new)
                logits[key] = new
        else:
            self.setting.progress(Progress(stage, len(indices), len(indices)))
        return [logits[key] for key in keys]

    def _pass(self, model: nn.Module, indices: NDArray[np.int64], stage: str) -> Tensor:
        return self.side_by_side([model], self.source, indices, stage)[0]
