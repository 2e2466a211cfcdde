"""A run: what it was given, how the network stands, and what was noted; a recipe's steps work on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Source
from calibrate.engine.handler import Given
from calibrate.engine.passes.batches import EvaluatedBatches, SourceBatches
from calibrate.engine.passes.prediction import in_precision, input_dtype, predict, predict_each
from calibrate.engine.trials.store import trial_key
from calibrate.metrics import require_finite
from calibrate.result import Finding, Progress, StepOutcome
from calibrate.search import FittedTemperature, fit_temperature
from calibrate.steps import Arm, NotApplicable, Probe, StepValue, TunedArm
from calibrate.surgery import evaluating, put_out, share_weights
from calibrate.values import Verdict

#: The arms of a network that weighs examples and is otherwise the original, and of one whose statistics, or γ and β,
#: changed.
WEIGHED: tuple[Arm, TunedArm] = ("alpha", "alpha+T")
TUNED: tuple[Arm, TunedArm] = ("tuned", "tuned+T")


@dataclass(eq=False)
class NetworkState:
    """How the network stands: ``model``, and the temperature that its logits are to be divided by.

    ``changed`` says that it is no longer the original one. ``logits`` are those of the calibration half, where they are
    known. ``held_back`` are the ascending rows of it that no gradient step saw; None is all.
    """

    model: nn.Module
    temperature: float = 1.0
    changed: bool = False
    logits: Tensor | None = None
    held_back: Tensor | None = None


@dataclass(eq=False)
class Notes:
    """What was noted: what came of the steps, in their order, what the reader should know, and the verdict.

    ``forwards`` counts images passed through a network; one that was learned from counts 3, for the way back too.
    A search among candidates notes the steps of the one that it took over, the networks to time (``graphs``), and the
    examples that it ``measured`` on, where those are others.
    """

    outcomes: tuple[StepOutcome, ...] = ()
    findings: tuple[Finding, ...] = ()
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    forwards: int = 0
    steps: tuple[StepValue, ...] = ()
    graphs: Mapping[str, nn.Module] = field(default_factory=dict)
    measured: Source | None = None


@dataclass(eq=False)
class Run:
    """What was given, which never changes; how the network stands; what was noted.

    ``original_logits`` are the original network's of the calibration half, once they are known.
    """

    given: Given
    state: NetworkState
    notes: Notes = field(default_factory=Notes)
    original_logits: Tensor | None = None

    def fork(self) -> "Run":
        """A run that stands where this one stands; neither sees what becomes of the other."""
        state = replace(self.state, model=share_weights(self.state.model))
        return replace(self, state=state, notes=replace(self.notes))

    def adopt_(self, fork: "Run") -> None:
        """Stand where ``fork`` stands, which set out from here, and note what was noted there."""
        self.state = fork.state
        shared = sum(mine is its for mine, its in zip(self.notes.outcomes, fork.notes.outcomes, strict=False))
        self.notes.outcomes += fork.notes.outcomes[shared:]
        self.notes.findings += tuple(item for item in fork.notes.findings if item not in self.notes.findings)

    def labels_of(self, indices: NDArray[np.int64]) -> Tensor:
        """Labels of the examples ``indices``, of data that have them."""
        assert self.given.source.labels is not None, "check_labels refuses a recipe whose steps need them"
        return torch.from_numpy(self.given.source.labels[indices])

    @property
    def calibration_labels(self) -> Tensor:
        """Labels of the calibration half."""
        return self.labels_of(self.given.split.calibration)

    @property
    def holdout_labels(self) -> Tensor:
        """Labels of the holdout half."""
        return self.labels_of(self.given.split.holdout)

    @property
    def tuned_arms(self) -> tuple[Arm, TunedArm]:
        """What the current network is called, once it is changed: without its temperature, and with it."""
        return TUNED if any(outcome.tuned_parts for outcome in self.notes.outcomes) else WEIGHED

    def on_calibration(self, model: nn.Module, stage: str, rows: Tensor | None = None) -> Tensor:
        """Logits of the calibration half, or of its examples ``rows``, ascending."""
        indices = self.given.split.calibration if rows is None else self.given.split.calibration[rows.numpy()]
        return self._pass(model, indices, stage)

    def at_work(self, model: nn.Module, stage: str) -> Tensor:
        """Logits of the calibration half, never recalled: for who watches ``model`` at work."""
        self.notes.forwards += len(self.given.split.calibration)
        return predict(model, self.given.source, self.given.split.calibration, self.given.setting, stage, watched=True)

    def go_through(self, model: nn.Module, stage: str) -> None:
        """Take the calibration half through ``model``, of any output, for who watches it at work."""
        given, total = self.given, len(self.given.split.calibration)
        self.notes.forwards += total
        batches = EvaluatedBatches(given.source, given.split.calibration, given.setting, input_dtype(model))
        with evaluating(model), torch.inference_mode():
            for first, x in batches.after(0):
                with in_precision(given.setting):
                    put_out(model, x)
                given.setting.progress(Progress(stage, first + len(x), total))

    def on_holdout(self, model: nn.Module, stage: str, rows: Tensor | None = None) -> Tensor:
        """Logits of the holdout half, or of its examples ``rows``, ascending."""
        indices = self.given.split.holdout if rows is None else self.given.split.holdout[rows.numpy()]
        return self._pass(model, indices, stage)

    def change_(self) -> None:
        """Note that the current network is no longer the one that was last looked at."""
        self.state.changed = True
        self.state.logits = None

    def logits_of_original(self) -> Tensor:
        """Logits of the calibration half from the original network."""
        if self.original_logits is None:
            self.original_logits = self.on_calibration(self.given.original, "temperature")
        return self.original_logits

    def model_logits(self) -> Tensor:
        """Logits of the calibration half from the current network, all of them finite."""
        if not self.state.changed:
            logits = self.logits_of_original()
        elif self.state.logits is None:
            logits = self.state.logits = self.on_calibration(self.state.model, "temperature")
        else:
            logits = self.state.logits
        require_finite(logits)
        return logits

    def original_temperature(self) -> FittedTemperature:
        """The temperature of the original network, fitted on the calibration half."""
        logits = self.logits_of_original()
        require_finite(logits)
        return fit_temperature(logits, self.calibration_labels)

    def model_temperature(self) -> FittedTemperature:
        """The temperature of the current network, fitted on the calibration half, or what was held back of it.

        On what it learned from a network is surer than it is right elsewhere, and T would keep it so.
        """
        logits, labels = self.model_logits(), self.calibration_labels
        if self.state.held_back is not None:
            logits, labels = logits[self.state.held_back], labels[self.state.held_back]
        return fit_temperature(logits, labels)

    def add_outcome_(self, outcome: StepOutcome) -> None:
        """Note what came of a step for the summary."""
        self.notes.outcomes += (outcome,)

    def add_finding_(self, code: str, message: str, severity: Literal["info", "warning"] = "warning") -> None:
        """Note a finding for the summary, once."""
        finding = Finding(code=code, severity=severity, message=message)
        if finding not in self.notes.findings:
            self.notes.findings += (finding,)

    def not_applicable_(self, step: Probe, reason: str) -> None:
        """Note that there is nothing to probe."""
        self.add_outcome_(NotApplicable(tuned=self.state.changed, images=0, probe=step.kind, reason=reason))

    def holdout_batches(self) -> SourceBatches:
        """The examples of the holdout half; their pass is counted."""
        given = self.given
        self.notes.forwards += len(given.split.holdout)
        return SourceBatches(given.source, given.split.holdout, given.setting, input_dtype(self.state.model))

    def side_by_side(
        self, models: Sequence[nn.Module], source: Source, indices: NDArray[np.int64], stage: str
    ) -> list[Tensor]:
        """Logits of each of ``models`` for the same inputs, the examples ``indices`` of ``source``, made once for all.

        They are recalled, or made and kept; either way the passes count.
        """
        self.notes.forwards += len(models) * len(indices)
        if self.given.trials is None:
            return predict_each(models, source, indices, self.given.setting, stage)
        keys = [trial_key(model, source, indices) for model in models]
        logits = {key: kept for key in keys if (kept := self.given.trials.recall(key)) is not None}
        missing = {key: model for key, model in zip(keys, models, strict=True) if key not in logits}
        if missing:
            made = predict_each(list(missing.values()), source, indices, self.given.setting, stage)
            for key, new in zip(missing, made, strict=True):
                self.given.trials.keep(key, stage, new)
                logits[key] = new
        else:
            self.given.setting.progress(Progress(stage, len(indices), len(indices)))
        return [logits[key] for key in keys]

    def _pass(self, model: nn.Module, indices: NDArray[np.int64], stage: str) -> Tensor:
        return self.side_by_side([model], self.given.source, indices, stage)[0]
