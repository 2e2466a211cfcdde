"""The loop: plain supervised training, phase by phase, that keeps the best epoch and resumes bit for bit."""

import hashlib
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from calibrate.data import Augmented, Source
from calibrate.errors import ModelError
from calibrate.finetune.freezing import frozen
from calibrate.finetune.groups import parameter_groups
from calibrate.finetune.mixed_batches import mixup
from calibrate.finetune.penalty import Penalty
from calibrate.finetune.schedules import SCHEDULES
from calibrate.finetune.state import StateFile, TrainingState, read_from
from calibrate.finetune.weight_histograms import WeightHistograms
from calibrate.generators import numpy_generator
from calibrate.metrics import score
from calibrate.nn import clamp_gates_
from calibrate.recipe import FineTuning
from calibrate.recipe.finetuning import SGDOptions
from calibrate.result import Epoch, Listener, Progress
from calibrate.surgery import checked_logits, evaluating

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingLoop:
    """What a training needs: examples are rows of ``source``, whose ``labels`` (n,) number the network's outputs."""

    recipe: FineTuning
    source: Source
    labels: Rows
    outputs: int
    training: Rows
    validation: Rows
    head: str
    device: torch.device
    progress: Listener


def train_(
    model: nn.Module, given: TrainingLoop, penalties: Sequence[Penalty] = (), file: StateFile | None = None
) -> TrainingState:
    """Carry out the phases of the recipe on ``model``, which ends in evaluation mode with the best epoch's weights.

    A last batch that is not full is left out, unless it is the only one. After each epoch the state is written to
    ``file``, if one is named; where it exists, the training goes on from there. The order of examples and all that is
    drawn derive from the recipe's seed, the phase and the epoch alone, so on a CPU a resumed training ends with the
    bits of an unbroken one.

    Raises ModelError where the loss is no longer finite.
    """
    state = TrainingState() if file is None else file.read(given.device)
    histograms = WeightHistograms(model)
    if state.epochs:
        with read_from(file):
            model.load_state_dict(state.model)
            histograms.load_state_dict(state.histograms)
    with torch.random.fork_rng(devices=[given.device] if given.device.type == "cuda" else []):
        for number in range(state.epochs[-1].phase if state.epochs else 0, len(given.recipe.phases)):
            with closing(_phase_(model, given, penalties, histograms, state, number, file)) as epochs:
                for _ in epochs:
                    if file is not None:
                        file.write(state)
                    given.progress(Progress("fine-tuning", len(state.epochs), given.recipe.epochs))
    with read_from(file):
        model.load_state_dict(state.best_model)
    model.eval()
    given.progress(Progress("fine-tuning", given.recipe.epochs, given.recipe.epochs))
    return state


def _phase_(
    model: nn.Module,
    given: TrainingLoop,
    penalties: Sequence[Penalty],
    histograms: WeightHistograms,
    state: TrainingState,
    number: int,
    file: StateFile | None,
) -> Generator[None]:
    """Train what is left of a phase; after each epoch ``state`` says all there is to go on from."""
    recipe, phase, head = given.recipe, given.recipe.phases[number], [given.head]
    done = sum(epoch.phase == number for epoch in state.epochs)
    with ExitStack() as borrowed:
        learner = borrowed.enter_context(frozen(model, phase.trainable, head, **dict(phase.norms)))
        for penalty in penalties:
            borrowed.enter_context(penalty.watching())
        optimizer = _optimizer(recipe, parameter_groups(learner, lr=phase.lr, head=head, **dict(recipe.groups)))
        optimizer.register_step_post_hook(lambda *_: clamp_gates_(learner))
        if recipe.histograms == "step":
            optimizer.register_step_post_hook(lambda *_: histograms.record())
        steps = phase.epochs * len(_batches(given.training, recipe.batch_size))
        pace = SCHEDULES[recipe.schedule](optimizer, steps)
        if done:
            with read_from(file):
                optimizer.load_state_dict(state.optimizer)
                pace.load_state_dict(state.schedule)
        while done < phase.epochs and not _waited(state, number, recipe.patience):
            loss, penalised = _epoch_(learner, given, penalties, (optimizer, pace), (number, done))
            top1, nll = _validated(model, given)
            epoch = Epoch(
                phase=number, lr=float(pace.get_last_lr()[0]), loss=loss, penalty=penalised, top1=top1, nll=nll
            )
            state.epochs.append(epoch)
            state.model = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            state.optimizer, state.schedule = optimizer.state_dict(), pace.state_dict()
            if state.best < 0 or _is_better(epoch, state.epochs[state.best]):
                state.best, state.best_model = len(state.epochs) - 1, state.model
            if recipe.histograms == "epoch":
                histograms.record()
            state.histograms = histograms.state_dict()
            done += 1
            yield


def _epoch_(
    learner: nn.Module,
    given: TrainingLoop,
    penalties: Sequence[Penalty],
    pacing: tuple[Optimizer, LRScheduler],
    place: tuple[int, int],
) -> tuple[float, float]:
    """Train for one epoch, ``place`` saying which one of which phase: the mean loss, and of it the mean penalty."""
    recipe, device, (optimizer, pace) = given.recipe, given.device, pacing
    torch_seed, order_seed, image_seed = np.random.SeedSequence([recipe.seed, *place]).generate_state(3).tolist()
    torch.manual_seed(torch_seed)
    source = Augmented(given.source, image_seed) if recipe.augmentation == "flip_crop" else given.source
    order = numpy_generator(order_seed).permutation(given.training)
    batches = _batches(order, recipe.batch_size)
    sums = torch.zeros(2, device=device, dtype=torch.float64)
    learner.train()
    for rows in batches:
        inputs, labels = _batch(source, given, rows)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.amp == "bf16"):
            prediction_loss = _prediction_loss(learner, inputs, labels, given)
        penalty = sum((penalty() for penalty in penalties), torch.zeros((), device=device))
        loss = prediction_loss + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pace.step()
        sums += torch.stack([loss.detach(), penalty.detach()])
    mean, mean_penalty = (sums / len(batches)).tolist()
    if not np.isfinite(mean):
        raise ModelError(
            f"the loss of epoch {place[1] + 1} of phase {place[0] + 1} is {mean}, so the training has come apart; give "
            f"the phase a lower lr than {recipe.phases[place[0]].lr:g}, or the head a lower head_lr_factor in groups."
        )
    return mean, mean_penalty


def _batch(source: Source, given: TrainingLoop, rows: Rows) -> tuple[Tensor, Tensor]:
    """Inputs and labels of the examples ``rows``, in their order, which is not that of a source."""
    (batch,) = source.batches(rows, len(rows))
    place = np.argsort(np.argsort(rows))
    return batch.inputs[place].to(given.device), torch.from_numpy(given.labels[rows]).to(given.device)


def _prediction_loss(learner: nn.Module, inputs: Tensor, labels: Tensor, given: TrainingLoop) -> Tensor:
    """Cross-entropy with the recipe's label smoothing, of inputs that are mixed where it says so."""
    recipe, targets = given.recipe, labels
    if recipe.mixup:
        inputs, targets = mixup(inputs, labels, given.outputs, recipe.mixup)
    logits = checked_logits(learner, inputs).float()
    return F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)


def _validated(model: nn.Module, given: TrainingLoop) -> tuple[float | None, float | None]:
    """Top-1 and NLL of the validation split; None for both where there is none."""
    if not len(given.validation):
        return None, None
    with evaluating(model), torch.inference_mode():
        batches = given.source.batches(given.validation, given.recipe.batch_size)
        logits = torch.cat([checked_logits(model, batch.inputs.to(given.device)) for batch in batches])
    scores = score(logits, torch.from_numpy(given.labels[np.sort(given.validation)]))
    return float(scores.top1.mean()), float(scores.nll.mean())


def _is_better(epoch: Epoch, best: Epoch) -> bool:
    """By top-1, then by NLL, of the validation split; without one every epoch is better than the one before."""
    if epoch.top1 is None or epoch.nll is None or best.top1 is None or best.nll is None:
        return True
    return (epoch.top1, -epoch.nll) > (best.top1, -best.nll)


def _waited(state: TrainingState, phase: int, patience: int | None) -> bool:
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
    if isinstance(chosen, SGDOptions):
        return torch.optim.SGD(groups, momentum=chosen.momentum, nesterov=chosen.nesterov)
    return torch.optim.Adam(groups)


def md5_seed(number: int) -> int:
    """The last eight hexadecimal digits of the MD5 of ``number`` in decimal: a seed below 2³².

    Generators that start from 1, 2 and 3 may start alike; from seeds whose bits are mixed they do not.

    Reference: Davis & Frank, Revisiting Batch Normalization, §4 (seeds 1 to 15).

    >>> md5_seed(1), md5_seed(2)
    (1869972635, 3423897132)
    """
    return int(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[-8:], 16)
