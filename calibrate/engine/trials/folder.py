"""Trials in a folder: what an interrupted run leaves to the next."""

import hashlib
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from calibrate.atomic import replace_files
from calibrate.errors import TrialsError

_NAME = "trial"


class FolderTrials:
    """The engine's ``Trials`` as safetensors files under ``folder``, each written whole.

    They are apart for every ``identity``, a text that says what passes depend on and a trial's key does not tell, such
    as the architecture, the preprocessing and the machine. Nothing is ever removed; the folder can be, between runs.

    Limits: a factory (``package.module:factory``) counts by its name; after a change of its code, take a new folder.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder / hashlib.sha256(identity.encode()).hexdigest()[:16]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrialsError(
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
            replace_files(self._folder, {f"{key}.safetensors": content})
        except OSError as error:
            raise TrialsError(
                f"passes cannot be kept in {self._folder}: {error.strerror}; make room, or leave --trials out."
            ) from None
