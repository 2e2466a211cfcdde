"""Statistics health in a run: of the network that came, of the one that a step finds, and why logits are not finite."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Source
from calibrate.diagnose import EXAMPLES, FEWEST, REPAIR, sick_channels, statistics_health
from calibrate.engine.passes.batches import EvaluatedBatches, SourceBatches
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.passes.setting import Setting
from calibrate.errors import NonFiniteError
from calibrate.result import LayerCondition, sick_words
from calibrate.surgery import Look

#: The least examples where the user asked for no batch size.
LEAST_BY_RULE = 16


def network_health(
    model: nn.Module, source: Source, indices: NDArray[np.int64], setting: Setting, seen: Look
) -> tuple[LayerCondition, ...]:
    """The health of the statistics of ``model``; examples spread over ``indices`` are read only where they are needed.

    These go through the network at once: 32 of them, 16 where the rule for batches takes fewer than that, and 8 where
    the user asks for so few.
    """
    return statistics_health(model, _spread(model, source, indices, setting), seen=seen)


def network_sick_channels(
    model: nn.Module, source: Source, indices: NDArray[np.int64], setting: Setting, seen: Look
) -> Mapping[str, Tensor]:
    """Which channels (C,) of each sick layer need new statistics, by its first name; see :func:`network_health`."""
    return sick_channels(model, _spread(model, source, indices, setting), seen=seen)


def _spread(model: nn.Module, source: Source, indices: NDArray[np.int64], setting: Setting) -> SourceBatches:
    count = min(
        EXAMPLES, max(LEAST_BY_RULE if setting.asked_batch is None else FEWEST, setting.batch_size), len(indices)
    )
    spread = indices[np.unique(np.linspace(0, len(indices) - 1, count).round().astype(np.int64))]
    return EvaluatedBatches(source, spread, setting, input_dtype(model))


def why_not_finite(models: Iterable[nn.Module], seen: Look | None) -> str:
    """What in the first of ``models`` where anything is makes logits infinite or not a number; empty where unknown."""
    for model in models:
        sick = [item for item in statistics_health(model, seen=seen) if item.sick]
        if words := sick_words([item for item in sick if item.kind == "statistics-not-finite"] or sick):
            return words
        for name, parameter in model.named_parameters():
            if not parameter.isfinite().all():
                return f"the parameter {name} is not finite"
    return ""


def empty_reason(logits: Tensor, model: nn.Module, seen: Look | None, which: str = "examples") -> str:
    """Why there are no scores of ``logits`` (n, K), which ``model`` gave; empty where all are finite."""
    if not (broken := int((~logits.isfinite().all(1)).sum())):
        return ""
    why = why_not_finite([model], seen) or "check whether half precision overflows"
    return f"NaN or Inf for {broken} of {len(logits)} {which}: {why}"


def explained(error: NonFiniteError, model: nn.Module, original: nn.Module, seen: Look | None) -> NonFiniteError:
    """``error`` with what is to blame in ``model``, which steps made of ``original``, and the cure; else itself."""
    for name, parameter in original.named_parameters():
        if not parameter.isfinite().all():
            cure = "No recipe cures that: take an earlier checkpoint."
            return NonFiniteError(error.broken, error.examples, f"the parameter {name} is not finite. {cure}")
    own, before = (why_not_finite([network], seen) for network in (model, original))
    if before:
        return NonFiniteError(error.broken, error.examples, f"{own or before}. {REPAIR}")
    if own:
        cure = "Before the steps all was sound: look for NaN, Inf and huge values among the examples."
        return NonFiniteError(error.broken, error.examples, f"{own}. {cure}")
    return error
