"""Trials in a folder: what an interrupted run leaves to the next."""

import hashlib
import json
import tempfile
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from calibrate.engine.environment import environment
from calibrate.engine.retrofit import Plan
from calibrate.errors import UsageError

_NAME = "trial"


class FolderTrials:
    """The engine's ``Trials`` as safetensors files under ``folder``, each written whole.

    They are apart for every architecture, preprocessing and environment, which a trial's key does not tell: passes made
    otherwise are made again. Nothing is ever removed; the folder can be, between runs.
    """

    def __init__(self, folder: Path, plan: Plan, architecture: str) -> None:
        place = environment(plan.setting.device, plan.setting.batch_size).model_dump(mode="json")
        shape = plan.source.preprocessing and plan.source.preprocessing.model_dump(mode="json")
        text = json.dumps([architecture, shape, place], sort_keys=True)
        self._folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"passes cannot be kept in {folder}: {error.strerror}; pass another directory with --trials."
            ) from None

    def recall(self, key: str) -> Tensor | None:
        """What was kept under ``key``; None where there is nothing, or nothing that can be read."""
        try:
            return safetensors.torch.load_file(self._folder / f"{key}.safetensors")[_NAME]
        except (OSError, SafetensorError, KeyError):
            return None

    def keep(self, key: str, stage: str, logits: Tensor) -> None:  # noqa: ARG002  (a file says nothing of its stage)
        """Write ``logits`` whole, or nothing."""
        content = safetensors.torch.save({_NAME: logits.detach().to("cpu", copy=True).contiguous()})
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                file.write(content)
            Path(file.name).replace(self._folder / f"{key}.safetensors")
        except OSError as error:
            raise UsageError(
                f"passes cannot be kept in {self._folder}: {error.strerror}; make room, or leave --trials out."
            ) from None
