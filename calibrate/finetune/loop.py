"""The loop: plain supervised training, phase by phase, that keeps the best epoch and resumes bit for bit."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from calibrate.data import Augmented, Source
from calibrate.errors import ModelError
from calibrate.finetune.freezing import frozen
from calibrate.finetune.mixup import mixup
from calibrate.finetune.parameter_groups import parameter_groups
from calibrate.finetune.penalty import Penalty
from calibrate.finetune.schedules import Schedule, schedule
from calibrate.finetune.state import State, read_state, write_state
from calibrate.metrics import score
from calibrate.nn import clamp_gates_
from calibrate.recipe import FineTuning
from calibrate.recipe.finetuning import SGD
from calibrate.result import Epoch, Listener, Progress
from calibrate.surgery import checked_logits, evaluating

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What a training needs: examples are rows of ``source``, whose ``labels`` (n,) number the network's outputs."""

    recipe: FineTuning
    source: Source
    labels: Rows
    training: Rows
    validation: Rows
    head: str
    penalties: Sequence[Penalty]
    device: torch.device
    progress: Listener


def train_(model: nn.Module, given: Training, path: Path | None = None, request: str = "") -> State:
    """Carry out the phases of the recipe on ``model``, which ends in evaluation mode with the weights of the best epoch.

    A last batch that is not full is left out, unless it is the only one. After each epoch the file ``path`` is written,
    if one is named; where it exists, the training goes on from there, if it is of the same ``request``. The order of
    examples and all that is drawn derive from the recipe's seed, the phase and the epoch alone, so on a CPU a resumed
    training ends with the bits of an unbroken one.

    Raises ModelError where the loss is no longer finite.
    """
    state = State() if path is None else read_state(path, request, given.device)
    if state.model:
        model.load_state_dict(state.model)
    with torch.random.fork_rng(devices=[given.device] if given.device.type == "cuda" else []):
        for phase in range(state.epochs[-1].phase if state.epochs else 0, len(given.recipe.phases)):
            _phase_(model, given, phase, state, path, request)
    model.load_state_dict(state.best_model)
    model.eval()
    given.progress(Progress("fine-tuning", given.recipe.epochs, given.recipe.epochs))
    return state


def _phase_(model: nn.Module, given: Training, number: int, state: State, path: Path | None, request: str) -> None:
    recipe, phase = given.recipe, given.recipe.phases[number]
    with ExitStack() as borrowed:
        learner = borrowed.enter_context(frozen(model, phase.trainable, [given.head], **phase.norms.model_dump()))
        for penalty in given.penalties:
            borrowed.enter_context(penalty.watching())
        optimizer = _optimizer(recipe, parameter_groups(learner, lr=phase.lr, head=[given.head], **dict(recipe.groups)))
        pace = schedule(recipe.schedule, optimizer, phase.epochs * len(_batches(given.training, recipe.batch_size)))
        done = sum(epoch.phase == number for epoch in state.epochs)
        if done:
            optimizer.load_state_dict(state.optimizer)
            pace.load_state_dict(state.schedule)
        while done < phase.epochs and not _waited(state, number, recipe.patience):
            loss, penalty = _epoch_(learner, given, optimizer, pace, (number, done))
            top1, nll = _validated(model, given)
            state.epochs.append(
                Epoch(phase=number, lr=pace.get_last_lr()[0], loss=loss, penalty=penalty, top1=top1, nll=nll)
            )
            done += 1
            state.model = _copied(model)
            if _is_best(state.epochs, state.best):
                state.best, state.best_model = len(state.epochs) - 1, state.model
            state.optimizer, state.schedule = optimizer.state_dict(), pace.state_dict()
            if path is not None:
                write_state(state, path, request)
            given.progress(Progress("fine-tuning", len(state.epochs), recipe.epochs))


def _epoch_(
    learner: nn.Module, given: Training, optimizer: Optimizer, pace: Schedule, place: tuple[int, int]
) -> tuple[float, float]:
    """Train for one epoch; the mean loss, and of it the mean penalty."""
    recipe = given.recipe
    torch_seed, order_seed, image_seed = np.random.SeedSequence([recipe.seed, *place]).generate_state(3).tolist()
    torch.manual_seed(torch_seed)
    source = Augmented(given.source, image_seed) if recipe.augmentation == "flip_crop" else given.source
    order = np.random.Generator(np.random.PCG64(order_seed)).permutation(given.training)
    batches = _batches(order, recipe.batch_size)
    sums = torch.zeros(2, dtype=torch.float64, device=given.device)
    learner.train()
    for rows in batches:
        (batch,) = source.batches(rows, len(rows))
        shuffled = np.argsort(np.argsort(rows))
        inputs, labels = batch.inputs[shuffled].to(given.device), torch.from_numpy(given.labels[rows]).to(given.device)
        with torch.autocast(given.device.type, torch.bfloat16, enabled=recipe.amp == "bf16"):
            answers = _answers_loss(learner, inputs, labels, recipe)
        penalty = sum((penalty() for penalty in given.penalties), torch.zeros((), device=given.device))
        loss = answers + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        clamp_gates_(learner)
        pace.step()
        sums += torch.stack([loss.detach(), penalty.detach()])
    mean, mean_penalty = (sums / len(batches)).tolist()
    if not np.isfinite(mean):
        raise ModelError(
            f"the loss of epoch {place[1] + 1} of phase {place[0] + 1} is {mean}, so the training has come apart; give "
            f"the phase a lower lr than {recipe.phases[place[0]].lr:g}, or the head a lower head_lr_factor in groups."
        )
    return mean, mean_penalty


def _answers_loss(learner: nn.Module, inputs: Tensor, labels: Tensor, recipe: FineTuning) -> Tensor:
    """Cross-entropy with the recipe's label smoothing, of inputs that are mixed where it says so."""
    if not recipe.mixup:
        return F.cross_entropy(checked_logits(learner, inputs).float(), labels, label_smoothing=recipe.label_smoothing)
    mixed = mixup(inputs, labels, recipe.mixup)
    logits = checked_logits(learner, mixed.inputs).float()
    return mixed.loss(logits, recipe.label_smoothing)


def _validated(model: nn.Module, given: Training) -> tuple[float | None, float | None]:
    """Top-1 and NLL of the validation split; None for both where there is none."""
    if not len(given.validation):
        return None, None
    with evaluating(model), torch.inference_mode():
        batches = given.source.batches(given.validation, given.recipe.batch_size)
        logits = torch.cat([checked_logits(model, batch.inputs.to(given.device)) for batch in batches])
    scores = score(logits, torch.from_numpy(given.labels[np.sort(given.validation)]))
    return float(scores.top1.mean()), float(scores.nll.mean())


def _is_best(epochs: Sequence[Epoch], best: int) -> bool:
    """Whether the last epoch is better than the ``best``; without a validation split the last is."""
    last = epochs[-1]
    if best < 0 or last.top1 is None or last.nll is None:
        return True
    top1, nll = epochs[best].top1, epochs[best].nll
    assert top1 is not None
    assert nll is not None
    return (last.top1, -last.nll) > (top1, -nll)


def _waited(state: State, phase: int, patience: int | None) -> bool:
    """Whether ``patience`` epochs of the phase have gone by without a better one."""
    if patience is None:
        return False
    first = next((index for index, epoch in enumerate(state.epochs) if epoch.phase == phase), len(state.epochs))
    return len(state.epochs) - max(state.best + 1, first) >= patience


def _batches(rows: Rows, size: int) -> list[Rows]:
    full = len(rows) // size
    return [rows] if not full else list(rows[: full * size].reshape(full, size))


def _optimizer(recipe: FineTuning, groups: list[dict[str, object]]) -> Optimizer:
    chosen = recipe.optimizer
    if isinstance(chosen, SGD):
        return torch.optim.SGD(groups, momentum=chosen.momentum, nesterov=chosen.nesterov)
    return torch.optim.Adam(groups)


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
