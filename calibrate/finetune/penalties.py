"""From a recipe's penalties to what is added to the loss, and the one table that says which is made how."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from calibrate.finetune.affine_decay import AffineDecay
from calibrate.finetune.attention import channel_attention
from calibrate.finetune.bss import BSS
from calibrate.finetune.delta import Delta
from calibrate.finetune.l2_sp import L2SP
from calibrate.finetune.loop import TrainingLoop, train_
from calibrate.finetune.penalty import Penalty
from calibrate.generators import numpy_generator, seeded
from calibrate.recipe import finetuning
from calibrate.result import silent
from calibrate.surgery import renew_head_

#: How a head is trained before it tells which channels matter to the target: alone, on features as they are.
HEAD_EPOCHS = 3
AS_IN_INFERENCE = finetuning.Norms(affine=False, statistics=False, normalise="running")


def make_penalties(model: nn.Module, source: nn.Module, given: TrainingLoop) -> list[Penalty]:
    """The penalties of the recipe, for ``model`` as it starts; ``source`` is the original network."""
    made = [PENALTIES[type(wanted)](model, source, given, wanted) for wanted in given.recipe.penalties]
    decay = given.recipe.affine_decay
    return made if decay is None else [*made, AffineDecay(model, **dict(decay))]


def _arguments(wanted: BaseModel) -> dict[str, Any]:
    return {name: value for name, value in wanted if name != "kind"}


def _delta(model: nn.Module, source: nn.Module, given: TrainingLoop, wanted: finetuning.DeltaOptions) -> Penalty:
    attention = None
    if wanted.attention:
        examples = _examples(given, wanted.attention_examples)
        attention = channel_attention(_with_trained_head(source, given), wanted.layers, examples)
    return Delta(model, source, wanted.layers, wanted.strength, attention)


def _with_trained_head(source: nn.Module, given: TrainingLoop) -> nn.Module:
    """A copy of ``source`` whose head knows the target's classes."""
    model = copy.deepcopy(source)
    with seeded(given.recipe.seed):
        renew_head_(model, given.head, given.outputs)
    first = given.recipe.phases[0]
    phase = finetuning.Phase(epochs=HEAD_EPOCHS, lr=first.lr, trainable="head", norms=AS_IN_INFERENCE)
    recipe = given.recipe.model_copy(update={"phases": (phase,), "patience": None})
    train_(model, replace(given, recipe=recipe, validation=given.validation[:0], progress=silent))
    return model


def _examples(given: TrainingLoop, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    draw = numpy_generator([given.recipe.seed, 2])
    rows = draw.permutation(given.training)[:count]
    for batch in given.source.batches(rows, given.recipe.batch_size):
        yield batch.inputs.to(given.device), torch.from_numpy(given.labels[batch.indices]).to(given.device)


#: A test holds this table equal to the union of the penalties.
PENALTIES: Mapping[type[BaseModel], Callable[[nn.Module, nn.Module, TrainingLoop, Any], Penalty]] = {
    finetuning.L2SPOptions: lambda model, _, given, wanted: L2SP(model, [given.head], **_arguments(wanted)),
    finetuning.DeltaOptions: _delta,
    finetuning.BSSOptions: lambda model, _, given, wanted: BSS(model, [given.head], **_arguments(wanted)),
}
