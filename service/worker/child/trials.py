"""Trials as files: those of earlier attempts are read from here, new ones are written to the worker."""

from pathlib import Path

import safetensors.torch
from torch import Tensor

from service.worker.assignment import TRIAL
from service.worker.child.voice import Voice

LOGITS = "logits"


class FileTrials:
    """The engine's ``Trials``: recalled from the working directory, kept in ``out`` and told of."""

    def __init__(self, out: Path, voice: Voice) -> None:
        self._out = out
        self._voice = voice

    def recall(self, key: str) -> Tensor | None:
        """The logits of an earlier attempt's pass."""
        file = Path(f"{key}{TRIAL}")
        return safetensors.torch.load_file(file)[LOGITS] if file.exists() else None

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        """Write the logits, whole, and tell the worker."""
        file = self._out / f"{key}{TRIAL}"
        safetensors.torch.save_file({LOGITS: logits.contiguous()}, file)
        self._voice.trial(key, stage, len(logits), file)
