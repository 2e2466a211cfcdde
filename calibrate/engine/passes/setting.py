"""The setting of passes, and their form: what changes how fast they are, and the last digits of their numbers."""

from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor, nn

from calibrate.engine.trials.store import FORM_KEY, Trials
from calibrate.errors import UsageError
from calibrate.result import Listener
from calibrate.surgery import evaluating, folded, largest_bytes
from calibrate.values import Autocast

#: The most examples of a batch, and the bytes that the largest tensor of a pass should not go beyond: on a CPU, tensors
#: up to this size are made in memory that the process keeps (see ``engine/opening/process.py``).
MOST_EXAMPLES = 64
LARGEST_ON_CPU, LARGEST_ON_GPU = 2**25, 2**30
#: The examples of a batch where its size is part of a result, as in the order `batch` of a re-estimation.
STATISTICS_BATCH = 64
#: So far, relative to the largest logit, may a faster form put out something else, which is rounding; beyond, the
#: network computes something else in that form.
ROUNDING = 1e-4


@dataclass(frozen=True, slots=True)
class PassForm:
    """``batch_size`` examples a pass on so many CPU ``threads``; in memory channel by channel, or ``channels_last``.

    ``folds``: BatchNorm goes into the convolution before it, wherever nobody watches the network at work.
    """

    batch_size: int
    threads: int
    channels_last: bool = False
    folds: bool = False

    def to_row(self) -> Tensor:
        """As numbers, (1, 4), as a trial is kept."""
        return torch.tensor([[int(getattr(self, field.name)) for field in fields(self)]])

    @classmethod
    def from_row(cls, row: Tensor) -> Self:
        """What :meth:`to_row` made.

        >>> PassForm.from_row(PassForm(4, 2, True).to_row())
        PassForm(batch_size=4, threads=2, channels_last=True, folds=False)
        """
        batch_size, threads, channels_last, folds = row.flatten().tolist()
        return cls(int(batch_size), int(threads), bool(channels_last), bool(folds))


@dataclass(frozen=True, slots=True)
class Setting:
    """How passes are made. The same setting on the same machine gives the same bits.

    ``asked_batch`` is the batch size that the user asked for, and ``autocast`` the precision.
    """

    form: PassForm
    device: torch.device
    progress: Listener
    asked_batch: int | None = None
    autocast: Autocast | None = None

    @property
    def batch_size(self) -> int:
        """The examples of a batch, where its size is not part of a result."""
        return self.form.batch_size

    @property
    def statistics_batch(self) -> int:
        """The examples of a batch where its size is part of a result."""
        return self.asked_batch or STATISTICS_BATCH

    def moved(self, inputs: Tensor, dtype: torch.dtype) -> Tensor:
        """``inputs`` on the device in that type: without waiting for it, where it is a GPU."""
        if self.device.type != "cuda":
            return inputs.to(self.device, dtype)
        return inputs.pin_memory().to(self.device, dtype, non_blocking=True)

    def shaped(self, inputs: Tensor) -> Tensor:
        """``inputs`` in the memory format of the form."""
        if self.form.channels_last and inputs.dim() == 4:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def fast(self, model: nn.Module, inputs: Tensor) -> nn.Module:
        """``model`` in the form's fastest shape for inputs like these, or itself; neither may be changed meanwhile."""
        return _shaped(folded(model, inputs[:1]), self.form) if self.form.folds else model


def check_batch_size(batch_size: object) -> None:
    """Raise UsageError for what is no number of examples; None leaves it to the rule."""
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise UsageError(f"batch_size is {batch_size!r}; give a whole number, 1 at least, or leave it out.")


def settled_form(model: nn.Module, inputs: Tensor, asked_batch: int | None, trials: Trials | None) -> PassForm:
    """The form of all passes of a run: what its first attempt settled, else :func:`best_form`, which is then kept.

    This process takes the threads of the form.
    """
    kept = None if trials is None else trials.recall(FORM_KEY)
    form = best_form(model, inputs, asked_batch) if kept is None else PassForm.from_row(kept)
    if trials is not None and kept is None:
        trials.keep(FORM_KEY, "form of the passes", form.to_row())
    if form.threads != torch.get_num_threads():
        torch.set_num_threads(form.threads)
    return form


def best_form(model: nn.Module, inputs: Tensor, asked_batch: int | None = None) -> PassForm:
    """The form for ``model`` and inputs (n, C, *) like these: a rule, and no measurement.

    The batch is the largest power of two whose largest tensor is within bounds; ``asked_batch`` stands in its place.
    On the CPU, images go channels last through convolutions in float32; and where BatchNorm feeds on convolutions, it
    goes into them. Either is left where the network puts out something else then, or nothing, on ``inputs``.
    Cost: some passes over ``inputs``, two of which are enough.
    """
    plain = PassForm(asked_batch or _batch(model, inputs), torch.get_num_threads())
    if not any(isinstance(module, nn.modules.conv._ConvNd) for module in model.modules()):
        return plain
    wanted = _logits(model, inputs)
    form = plain
    last = PassForm(plain.batch_size, plain.threads, channels_last=True)
    if inputs.dim() == 4 and inputs.is_cpu and inputs.dtype == torch.float32 and _same(model, inputs, last, wanted):
        form = last
    folding = PassForm(form.batch_size, form.threads, form.channels_last, folds=True)
    return folding if inputs.dtype in (torch.float32, torch.float64) and _same(model, inputs, folding, wanted) else form


def _batch(model: nn.Module, inputs: Tensor) -> int:
    most = LARGEST_ON_CPU if inputs.is_cpu else LARGEST_ON_GPU
    examples = most * len(inputs) // max(largest_bytes(model, inputs), 1)
    return min(MOST_EXAMPLES, 1 << max(examples, 1).bit_length() - 1)


def _same(model: nn.Module, inputs: Tensor, form: PassForm, wanted: Tensor) -> bool:
    setting = Setting(form, inputs.device, lambda _: None)
    try:
        logits = _logits(setting.fast(model, inputs), setting.shaped(inputs))
    except Exception:  # whatever its code raises that asks for what a folded layer had
        return False
    scale = wanted.abs().max().clamp_min(torch.finfo(wanted.dtype).tiny)
    return bool((logits - wanted).abs().max() <= ROUNDING * scale)


def _logits(model: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(model), torch.inference_mode():
        logits: Tensor = model(inputs)
    return logits


def _shaped(model: nn.Module, form: PassForm) -> nn.Module:
    """``model``, which is a copy, with the weights of its convolutions in the memory format of ``form``."""
    if form.channels_last:
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and "weight" in module._parameters:
                weight = module.weight.detach().contiguous(memory_format=torch.channels_last)
                module.weight = nn.Parameter(weight, requires_grad=False)
    return model
