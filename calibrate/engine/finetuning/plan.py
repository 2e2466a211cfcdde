"""A fine-tuning, checked before anything expensive: its classes, its examples, and the identity of what is asked."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from calibrate.data import TESTING, TRAINING, DataLike, Source, open_data, split, stratified
from calibrate.engine.finetuning.target_classes import class_labels, wanted_classes
from calibrate.engine.health import network_health
from calibrate.engine.opening.machine import find_device
from calibrate.engine.opening.outputs import LOOKED_AT, no_logits
from calibrate.engine.opening.training_data import check_inputs
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.passes.setting import Setting, best_form, check_batch_size
from calibrate.errors import DataError, ModelError, UsageError
from calibrate.io import check_state_dict, fingerprint
from calibrate.recipe import FineTuning, Preprocessing
from calibrate.result import Finding, LayerCondition, Listener
from calibrate.surgery import Look, copied, find_sites, look, take_logits_

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A source, and the output of the head that each of its examples belongs to (n,), −1 for none."""

    source: Source
    labels: Rows

    @property
    def rows(self) -> Rows:
        """The examples of the wanted classes."""
        return np.flatnonzero(self.labels >= 0)


@dataclass(frozen=True, slots=True, eq=False)
class FineTuningPlan:
    """Which rows of the data train, choose the epoch and test; ``request`` identifies all that decides the result.

    ``findings`` are of how the network was opened.
    """

    recipe: FineTuning
    classes: tuple[str, ...]
    fresh: bool
    outputs: int
    data: Labelled
    training: Rows
    validation: Rows
    test_data: Labelled
    test: Rows
    setting: Setting
    request: str
    look: Look
    health: tuple[LayerCondition, ...]
    findings: tuple[Finding, ...] = ()


def plan_fine_tuning(
    model: nn.Module,
    recipe: FineTuning,
    *,
    data: DataLike,
    test_data: DataLike | None,
    preprocessing: Preprocessing | None,
    batch_size: int | None,
    device: str,
    progress: Listener,
) -> FineTuningPlan:
    """Check everything that can be checked before training; the arguments are :func:`fine_tune`'s."""
    if input_dtype(model) != torch.float32:
        raise UsageError(
            f"the network's parameters are {str(input_dtype(model)).removeprefix('torch.')}, too coarse for the small "
            "steps of training; give a float32 network, and `amp: bf16` for speed."
        )
    check_batch_size(batch_size)
    check_state_dict(model)
    place = find_device(device)
    source = open_data(data, preprocessing=preprocessing, usual=TRAINING)
    apart = None if test_data is None else open_data(test_data, preprocessing=preprocessing, usual=TESTING)
    if apart is not None and apart.fingerprint == source.fingerprint:
        raise UsageError(
            f"{apart.name} holds the very examples of {source.name}, and scores on what was learned by heart prove "
            "nothing; give other test data, or leave them out, so that one half of the data is kept for the test."
        )
    (first,) = source.batches(np.zeros(1, dtype=np.int64), 1)
    home = next(model.parameters(), first.inputs).device
    seen = look(model, find_sites(model), first.inputs.to(home))
    setting = Setting(best_form(model, first.inputs.to(home), place, batch_size), place, progress, batch_size)
    outputs = seen.outputs
    classes, fresh = wanted_classes(source, recipe, outputs)
    if not seen.is_classifier and not (fresh and outputs == 1):  # a fresh head takes the place of one logit too
        raise ModelError(f"fine-tuning learns logits, and {no_logits(seen)}")
    if seen.may_be_probabilities and not fresh:
        some = source.batches(np.arange(min(LOOKED_AT, len(source)), dtype=np.int64), LOOKED_AT)
        if take_logits_(copied(model), next(iter(some)).inputs.to(home)) is not None:
            raise ModelError(
                "fine-tuning learns logits, and the network puts out probabilities; wrap it in a factory that leaves "
                "its softmax or sigmoid out (--architecture package.module:factory)."
            )
    if apart is not None:
        check_inputs(apart, first.inputs)
    labelled = Labelled(source, class_labels(source, classes, outputs))
    tested = labelled if apart is None else Labelled(apart, class_labels(apart, classes, outputs))
    pool, test = labelled.rows, tested.rows
    if apart is None:
        halves = split(labelled.labels[pool], recipe.seed)
        pool, test = pool[halves.calibration], pool[halves.holdout]
    elif recipe.classes is None and len(test) < len(apart):
        raise DataError(
            f"{apart.entry(int(np.argmin(tested.labels)))}, of the test data, is of a class that {source.name} has "
            "not; give test data of the same classes, or name those to learn with `classes`."
        )
    drawn = _drawn(labelled.labels, pool, recipe)
    validation, training = drawn[:0], drawn
    if recipe.validation:
        validation, training = stratified(labelled.labels, drawn, recipe.validation, [recipe.seed, 1], "validation")
    if len(training) < 2 or not len(test):
        raise DataError(
            f"{len(training)} examples are left to train on and {len(test)} to test on, where 2 and 1 are the least; "
            "add data, or raise `fraction`."
        )
    asked = [recipe.canonical, fingerprint(model.state_dict()), classes, _identity(source), _identity(tested.source)]
    request = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    health = network_health(model, source, np.sort(training), replace(setting, device=home), seen)
    return FineTuningPlan(
        recipe, classes, fresh, outputs, labelled, training, validation, tested, test, setting, request, seen, health
    )


def _drawn(labels: Rows, pool: Rows, recipe: FineTuning) -> Rows:
    if recipe.fraction == 1:
        return pool
    return stratified(labels, pool, recipe.fraction, [recipe.seed, 0], "fraction")[0]


def _identity(source: Source) -> tuple[str, Any]:
    return source.fingerprint, source.preparation.model_dump() if source.preparation else None
