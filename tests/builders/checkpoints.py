"""Checkpoints of one state dict, and what opening a file does with them."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from calibrate.io import Checkpoint, fit_weights, load_weights_, read_checkpoint
from calibrate.io.state_dicts import StateDict


def alone(state: Mapping[str, Tensor]) -> Checkpoint:
    """A file of that state dict and nothing else."""
    return Checkpoint((StateDict("", dict(state)),), {}, Path("w.pth"))


def read_state(path: Path) -> dict[str, Tensor]:
    """The preferred state dict of a file, under the names that it has there."""
    return read_checkpoint(path).state_dicts[0].tensors


def load_(model: nn.Module, checkpoint: Checkpoint, architecture: str = "my:net") -> None:
    """Load into ``model`` what it takes of a file."""
    load_weights_(model, fit_weights(model, checkpoint), checkpoint.path, architecture)
