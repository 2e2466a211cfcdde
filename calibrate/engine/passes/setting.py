"""The setting of passes, and their form: what changes how fast they are, and the last digits of their numbers."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor, nn

from calibrate.data import Source
from calibrate.engine.trials.store import Trials
from calibrate.errors import UsageError
from calibrate.io import fingerprint
from calibrate.result import Listener
from calibrate.surgery import evaluating, folded, largest_bytes
from calibrate.values import Autocast

#: The most examples of a batch, and the bytes that the largest tensor of a pass should not go beyond: on a CPU, tensors
#: smaller than ``ALONE`` are made in memory that the process keeps (``engine/opening/process.py``).
MOST_EXAMPLES = 64
LARGEST_ON_CPU, LARGEST_ON_GPU = 2**25 - 2**16, 2**30
#: The examples of a batch where its size is part of a result, as in the order `batch` of a re-estimation.
STATISTICS_BATCH = 64
#: So far, relative to the largest logit, may a faster form put out something else, which is rounding; beyond, the
#: network computes something else in that form.
ROUNDING_ERROR = {torch.float32: 1e-4, torch.float64: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}


@dataclass(frozen=True, slots=True)
class PassForm:
    """``batch_size`` examples a pass on so many CPU ``threads``; in memory channel by channel, or ``channels_last``.

    ``folds``: BatchNorm is folded into the convolution that feeds it, but where hooks watch the network at work.
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
        """What :meth:`to_row` made. Raises ValueError for the row of another version.

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
        """``inputs`` on the device in that type; a GPU takes them from pinned memory, and nobody waits for it."""
        if self.device.type != "cuda":
            return inputs.to(self.device, dtype)
        return inputs.to(dtype).pin_memory().to(self.device, non_blocking=True)

    def in_format(self, inputs: Tensor) -> Tensor:
        """``inputs`` in the memory format of the form."""
        if self.form.channels_last and inputs.dim() == 4:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def fast(self, model: nn.Module, inputs: Tensor) -> nn.Module:
        """A copy of ``model`` with BatchNorm folded, to work on inputs like these; itself where the form does not fold.

        Also where nothing folds, or the copy puts out something else on two of them, or nothing. It raises
        OtherRouteError for inputs that take another way through the network. While it is in use, ``model`` must not
        be changed, whose other tensors it shares.
        """
        if not self.form.folds:
            return model
        few = self.in_format(inputs[:2])
        try:
            made = folded(model, inputs[:1], guarded=True)
            if made is model:
                return model
            if self.form.channels_last:
                lay_weights_channels_last_(made)
            same = _same(_logits(made, few), _logits(model, few))
        except Exception:  # whatever its code raises that looks at what a folded layer had, or takes no such inputs
            return model
        return made if same else model


def check_batch_size(batch_size: object) -> None:
    """Raise UsageError for what is no number of examples; None leaves it to the rule."""
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise UsageError(f"batch_size is {batch_size!r}; give a whole number, 1 at least, or leave it out.")


def form_key(model: nn.Module, source: Source) -> str:
    """The key, as of a trial, of the form of passes of ``source`` through ``model``."""
    return hashlib.sha256(f"form\0{fingerprint(model.state_dict())}\0{source.fingerprint}".encode()).hexdigest()


def settle_form_(
    model: nn.Module,
    source: Source,
    inputs: Tensor,
    device: torch.device,
    asked_batch: int | None,
    trials: Trials | None,
) -> PassForm:
    """The form of all passes of a run: what its first attempt settled, else :func:`best_form`, which is then kept.

    This process takes the threads of the form.
    """
    form = None
    if trials is not None and (kept := trials.recall(form_key(model, source))) is not None:
        with suppress(ValueError):
            form = PassForm.from_row(kept)
    if form is None:
        form = best_form(model, inputs, device, asked_batch)
        if trials is not None:
            trials.keep(form_key(model, source), "form of the passes", form.to_row())
    if form.threads != torch.get_num_threads():
        torch.set_num_threads(form.threads)
    return form


def best_form(model: nn.Module, inputs: Tensor, device: torch.device, asked_batch: int | None = None) -> PassForm:
    """The form for ``model`` and inputs (n, C, *) like these on ``device``: a rule, and no measurement.

    The batch is the largest power of two whose largest tensor is within bounds; ``asked_batch`` stands in its place.
    Images go channels last through convolutions, but in half precision on a CPU; and BatchNorm is folded into the
    convolution that feeds it, but in half precision. Either is left where the network puts out something else then, or
    nothing, on ``inputs``. They and ``model`` may be on another device.
    Cost: some passes over ``inputs``, two of which are enough.
    """
    plain = PassForm(asked_batch or _batch(model, inputs, device), torch.get_num_threads())
    if not any(isinstance(module, nn.modules.conv._ConvNd) for module in model.modules()):
        return plain
    full = inputs.dtype in (torch.float32, torch.float64)
    form = plain
    if inputs.dim() == 4 and (full or device.type == "cuda") and _takes_channels_last(model, inputs):
        form = replace(form, channels_last=True)
    folding = replace(form, folds=True)
    takes = full and Setting(folding, inputs.device, lambda _: None).fast(model, inputs) is not model
    return folding if takes else form


def _batch(model: nn.Module, inputs: Tensor, device: torch.device) -> int:
    most = LARGEST_ON_GPU if device.type == "cuda" else LARGEST_ON_CPU
    examples = most * len(inputs) // max(largest_bytes(model, inputs), 1)
    return min(MOST_EXAMPLES, 1 << max(examples, 1).bit_length() - 1)


def _takes_channels_last(model: nn.Module, inputs: Tensor) -> bool:
    try:
        return _same(_logits(model, inputs.contiguous(memory_format=torch.channels_last)), _logits(model, inputs))
    except Exception:  # whatever its code raises for memory that lies so
        return False


def _same(logits: Tensor, wanted: Tensor) -> bool:
    """Whether logits (n, K) are the ``wanted`` ones up to rounding: in size, and in what they say of each class.

    So one class of a huge constant logit hides nothing of the others.
    """
    if logits.shape != wanted.shape:
        return False
    error = ROUNDING_ERROR[wanted.dtype]
    scale = wanted.abs().max().clamp_min(torch.finfo(wanted.dtype).tiny)
    if not (logits - wanted).abs().max() <= error * scale:
        return False
    own, other = wanted.double().log_softmax(-1), logits.double().log_softmax(-1)
    spread = (wanted.double() - wanted.double().median(-1, keepdim=True).values).abs().median(-1, keepdim=True).values
    return bool(((other - own).abs() <= 10 * error * (1 + own.abs() + spread)).all())


def _logits(model: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(model), torch.inference_mode():
        logits: Tensor = model(inputs)
    return logits


def lay_weights_channels_last_(model: nn.Module) -> None:
    """Give the convolutions of ``model``, which another network may share, weights of their own in that format."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and "weight" in module._parameters:
            weight = module.weight.detach().contiguous(memory_format=torch.channels_last)
            module.weight = nn.Parameter(weight, requires_grad=False)
