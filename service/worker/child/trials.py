"""Trials as files: those of earlier attempts are read, new ones are written and reported to the worker."""

from pathlib import Path

import safetensors.torch
from torch import Tensor

from service.worker.assignment import TRIAL
from service.worker.child.message_writer import MessageWriter

LOGITS = "logits"


class FileTrials:
    """The engine's ``Trials``: read from the working directory, written to ``out``."""

    def __init__(self, out: Path, writer: MessageWriter) -> None:
        self._out = out
        self._writer = writer

    def recall(self, key: str) -> Tensor | None:
        """The logits of a pass that an earlier attempt finished."""
        file = Path(f"{key}{TRIAL}")
        return safetensors.torch.load_file(file)[LOGITS] if file.exists() else None

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        """Write the logits, and report them to the worker."""
        file = self._out / f"{key}{TRIAL}"
        safetensors.torch.save_file({LOGITS: logits.contiguous()}, file)
        self._writer.send_trial(key, stage, len(logits), file)
