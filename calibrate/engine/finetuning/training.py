"""Fine-tuning: a copy of a trained network goes on training, and is scored on data that it never saw."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from calibrate.data import DataLike, cached
from calibrate.engine.finetuning.plan import FineTuningPlan, plan_fine_tuning
from calibrate.engine.health import empty_reason, explained
from calibrate.engine.opening.checkpoint import model_facts
from calibrate.engine.opening.machine import environment
from calibrate.engine.passes.prediction import predict
from calibrate.errors import ModelError, NonFiniteError
from calibrate.finetune import StateFile, TrainingLoop, find_head, make_penalties, train_
from calibrate.generators import seeded
from calibrate.io import fingerprint
from calibrate.metrics import ArmScores, measure, score
from calibrate.recipe import FineTuning, Placement, Preprocessing
from calibrate.result import FineTuned, FineTuningData, LayerHistogram, Listener, condition_findings, silent
from calibrate.steps import Arm, EmptyArm, Measurement
from calibrate.surgery import carry_out_placement, copied, look, renew_head_

RESAMPLES, BINS = 2000, 15


@dataclass(frozen=True, slots=True, eq=False)
class FineTuneOutcome:
    """The network, in evaluation mode with the weights of the best epoch, and what happened."""

    model: nn.Module
    result: FineTuned


def fine_tune(
    model: nn.Module,
    recipe: FineTuning,
    *,
    data: DataLike,
    test_data: DataLike | None = None,
    preprocessing: Preprocessing | None = None,
    architecture: str = "",
    architecture_args: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    state: Path | None = None,
    progress: Listener = silent,
) -> FineTuneOutcome:
    """Fine-tune a copy of ``model`` on ``data``, and score it on ``test_data``, or on a half of the data kept for that.

    The head is kept where the classes are the network's, and else made anew. ``state`` is a file that is written after
    each epoch, and from which an interrupted fine-tuning goes on; it is deleted at the end. ``batch_size`` is that of
    the test; the recipe has its own. ``model`` itself is never changed. The examples to train on are decoded once, as
    far as a :class:`~calibrate.data.CacheBudget` has room for them as 8-bit pixels.

    Limits: after an interruption the bits are the same where torch has as many threads as before.

    Raises ModelError, DataError or UsageError, each saying what to do.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    >>> examples = [(torch.full((1, 8, 8), float(i % 3)), i % 3) for i in range(60)]
    >>> outcome = fine_tune(network, FineTuning(phases=[{"epochs": 2}], batch_size=9), data=examples)
    >>> outcome.result.head_is_fresh, outcome.result.data.training, len(outcome.result.epochs)
    (True, 27, 2)
    """
    plan = plan_fine_tuning(
        model,
        recipe,
        data=data,
        test_data=test_data,
        preprocessing=preprocessing,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
    return carry_out_fine_tuning(model, plan, architecture, architecture_args or {}, state)


def carry_out_fine_tuning(
    model: nn.Module,
    plan: FineTuningPlan,
    architecture: str,
    architecture_args: Mapping[str, Any],
    state: Path | None = None,
) -> FineTuneOutcome:
    """Carry out a checked plan on a copy of ``model``."""
    start = time.perf_counter()
    recipe, device = plan.recipe, plan.setting.device
    source = cached(plan.data.source)
    source.fill_(np.concatenate([plan.training, plan.validation]))
    given = copied(model).to(device).eval()
    learner = _prepared(given, plan)
    head = find_head(learner)
    training = TrainingLoop(
        recipe=recipe,
        source=source,
        labels=plan.data.labels,
        outputs=len(plan.classes),
        training=plan.training,
        validation=plan.validation,
        head=head,
        device=device,
        progress=plan.setting.progress,
    )
    file = None if state is None else StateFile(state, plan.request)
    try:
        trained = train_(learner, training, make_penalties(learner, given, training), file)
        measured = _measured(given, learner, plan)
    except NonFiniteError as error:
        raise explained(error, learner, given, plan.look) from None
    result = FineTuned(
        recipe=recipe,
        recipe_digest=recipe.digest,
        request=plan.request,
        model=model_facts(model, plan.outputs, architecture, architecture_args),
        head=head,
        head_is_fresh=plan.fresh,
        data=FineTuningData(
            source=source.name,
            fingerprint=source.fingerprint,
            test_source=plan.test_data.source.name,
            test_fingerprint=plan.test_data.source.fingerprint,
            classes=plan.classes,
            training=len(plan.training),
            validation=len(plan.validation),
            test=len(plan.test),
            preprocessing=source.preparation,
        ),
        epochs=tuple(trained.epochs),
        best=trained.best,
        measurement=measured,
        fingerprint=fingerprint(learner.state_dict()),
        findings=tuple(
            dict.fromkeys(
                (
                    *plan.findings,
                    *condition_findings(plan.health),
                    *source.findings,
                    *plan.test_data.source.findings,
                )
            )
        ),
        environment=environment(plan.setting),
        histograms=tuple(LayerHistogram(name=name, **layer) for name, layer in trained.histograms.items())
        if recipe.histograms != "none"
        else (),
        seconds=time.perf_counter() - start,
    )
    if state is not None:
        state.unlink(missing_ok=True)
    return FineTuneOutcome(learner.cpu(), result)


def _prepared(given: nn.Module, plan: FineTuningPlan) -> nn.Module:
    """A copy of the network with its layers placed and, where the classes ask for it, a fresh head."""
    with seeded(plan.recipe.seed):
        placed = (
            carry_out_placement(given, Placement(steps=plan.recipe.layers)) if plan.recipe.layers else copied(given)
        )
        if not plan.fresh:
            return placed
        head = find_head(placed)
        renew_head_(placed, head, len(plan.classes))
    (first,) = plan.data.source.batches(plan.training[:1], 1)
    outputs = look(placed, (), first.inputs.to(plan.setting.device)).outputs
    if outputs != len(plan.classes):
        raise ModelError(
            f"with a fresh layer {head}, the last linear one, the network puts out {outputs} numbers for "
            f"{len(plan.classes)} classes, so that layer is not its head; wrap the network in a factory whose last "
            "linear layer is (--architecture package.module:factory)."
        )
    return placed


def _measured(given: nn.Module, learner: nn.Module, plan: FineTuningPlan) -> Measurement:
    """The test scores, and where the head was kept also those of the original network, with the paired difference."""
    labels = torch.from_numpy(plan.test_data.labels[plan.test])
    arms = [ArmScores("tuned", False, 1.0, score(_logits(learner, plan), labels))]
    empty: list[EmptyArm] = []
    if not plan.fresh:
        logits = _logits(given, plan)
        if reason := empty_reason(logits, given, plan.look):
            empty.append(EmptyArm(arm="original", reason=reason))
        else:
            arms.insert(0, ArmScores("original", False, 1.0, score(logits, labels)))
    compared: list[tuple[Arm, Arm]] = [] if plan.fresh else [("tuned", "original")]
    return measure(arms, compared, resamples=RESAMPLES, bins=BINS, seed=plan.recipe.seed, empty=empty)


def _logits(model: nn.Module, plan: FineTuningPlan) -> torch.Tensor:
    return predict(model, plan.test_data.source, plan.test, plan.setting, "test")
