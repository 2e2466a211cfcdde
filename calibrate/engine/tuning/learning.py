"""What the steps share that learn by gradient: from which examples, judged on which, and what is noted of it."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import hold_back
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.engine.trials.store import learning_key
from calibrate.generators import numpy_generator
from calibrate.result import Progress
from calibrate.search import Chosen, Learnable, LearnedEpoch, choose, fit_temperature, learn, place_
from calibrate.steps import ChangedTensor, LearnAlpha, Learned, LearningEpoch, TuneAffine

#: What learning from an example costs, in passes: one forward, and back for twice its cost.
PASSES = 3


def validation_split(run: Run) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ascending rows of the calibration half: to learn from, and to hold back; the same for all steps of a run."""
    assert run.given.source.labels is not None, "check_labels refuses a recipe whose steps need them"
    return hold_back(run.given.source.labels[run.given.split.calibration], run.given.seed)


def learn_(
    run: Run, step: LearnAlpha | TuneAffine, trial: nn.Module, learnable: Learnable, result: type[Learned]
) -> None:
    """Learn in ``trial``, a copy of the run's network that computes the same, and make it the run's if it convinces.

    Epochs that an earlier attempt at the run has learned are not learned again.
    """
    learned, held_back = (torch.from_numpy(rows) for rows in validation_split(run))
    indices, labels = run.given.split.calibration[learned.numpy()], run.calibration_labels
    before = run.model_logits()
    temperature = fit_temperature(before[learned], labels[learned]).value
    key = learning_key(trial, run.given.source, indices, step)
    known = None if run.given.trials is None else run.given.trials.recall(key)
    state = trial.state_dict()
    start = {name: state[name].clone() for name in learnable.entries(learnable.start)}
    place_(trial, learnable.entries(learnable.start))
    tried: list[LearnedEpoch] = []

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        return labeled_batches(run, indices, step.batch_size, epoch, f"{step.kind}, epoch {epoch}")

    def epochs() -> Iterator[LearnedEpoch]:
        new = learn(trial, learnable, batches, epochs=step.epochs, lr=step.lr, temperature=temperature)
        for epoch in new if known is None else (_epoch(row, learnable.start) for row in known):
            run.notes.forwards += PASSES * len(indices)
            tried.append(epoch)
            yield epoch

    def logits_after(epoch: LearnedEpoch) -> Tensor:
        place_(trial, learnable.entries(epoch.vector))
        return run.on_calibration(trial, f"{step.kind}, held back after epoch {len(tried)}", held_back)

    chosen = choose(
        epochs(), logits_after, before[held_back], labels[held_back], patience=step.patience, margin=step.margin
    )
    if run.given.trials is not None and known is None:
        run.given.trials.keep(key, step.kind, torch.stack([_row(epoch) for epoch in tried]))
    if chosen.diverged:
        run.add_finding_(
            "learning-diverged",
            f"{step.kind} ended in epoch {len(tried)}, when what it learned was no longer finite; lower its `lr`.",
        )
    if chosen.kept:
        entries = learnable.entries(chosen.epochs[chosen.kept - 1].vector)
        place_(trial, entries)
        run.state.model, run.state.held_back = trial, held_back
        run.change_()
    else:
        entries = {}
        run.state.changed, run.state.logits = True, before
    run.add_outcome_(
        result(
            kind=step.kind,
            per=getattr(step, "per", None),
            learned_from=len(learned),
            held_back=len(held_back),
            temperature=temperature,
            epochs=tuple(
                LearningEpoch(learned_nll=learned_nll, held_back_nll=nll)
                for learned_nll, nll in zip(
                    (None, *(epoch.cross_entropy for epoch in chosen.epochs)), chosen.held_back, strict=True
                )
            ),
            best=chosen.best,
            kept=chosen.kept,
            gain=chosen.gain.mean,
            standard_error=chosen.gain.standard_error,
            reason=_reason(chosen, step.margin),
            changed=tuple(
                ChangedTensor(name=name, change=float((value - start[name]).double().square().mean().sqrt()))
                for name, value in entries.items()
            ),
        )
    )


def _reason(chosen: Chosen, margin: float) -> str:
    if not chosen.best:
        return "no epoch lowered the cross-entropy of the examples held back once the temperature was fitted"
    if chosen.kept:
        return f"epoch {chosen.best} beat the start {chosen.gain.words(margin)}"
    return f"epoch {chosen.best} beat the start only {chosen.gain.words(margin)}, so the start stays"


def _row(epoch: LearnedEpoch) -> Tensor:
    """An epoch as one row of float64, which holds what it learned exactly; :func:`_epoch` is the way back."""
    return torch.cat((torch.tensor([epoch.cross_entropy], dtype=torch.float64), epoch.vector.double().cpu()))


def _epoch(row: Tensor, like: Tensor) -> LearnedEpoch:
    return LearnedEpoch(row[1:].to(like), float(row[0]))


def labeled_batches(
    run: Run, indices: NDArray[np.int64], batch_size: int, epoch: int, stage: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels of the examples ``indices``, in an order of the run's seed and the epoch; the last may be few.

    An example counts as three passes: learning goes forward once, and backward for twice the cost.
    """
    order = numpy_generator([run.given.seed, epoch]).permutation(indices)
    dtype, device = input_dtype(run.state.model), run.given.setting.device
    for begin in range(0, len(order), batch_size):
        chosen = order[begin : begin + batch_size]
        for batch in run.given.source.batches(chosen, batch_size):
            yield batch.inputs.to(device, dtype), run.labels_of(batch.indices).to(device)
        run.given.setting.progress(Progress(stage, begin + len(chosen), len(order)))
