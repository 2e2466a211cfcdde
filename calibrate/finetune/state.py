"""The state of an unfinished training: a file that is written whole, and from which it goes on bit for bit."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from calibrate.atomic import replacing
from calibrate.errors import UsageError
from calibrate.result import Epoch


@dataclass(eq=False)
class TrainingState:
    """What there was after the last whole epoch; no generator's state, since each epoch draws from its own seed."""

    epochs: list[Epoch] = field(default_factory=list)
    best: int = -1
    best_model: dict[str, Tensor] = field(default_factory=dict)
    model: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StateFile:
    """Where the state of the training ``request`` is kept."""

    path: Path
    request: str

    def write(self, state: TrainingState) -> None:
        """Write the file, whole or not at all."""
        document = {**vars(state), "epochs": [epoch.model_dump() for epoch in state.epochs], "request": self.request}
        with replacing(self.path, durable=True) as file:
            torch.save(document, file)

    def read(self, device: torch.device) -> TrainingState:
        """The state in the file, loaded weights-only; a fresh one where there is no file.

        Raises UsageError where the file is of another training.
        """
        if not self.path.exists():
            return TrainingState()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what torch warns of is no file that was written here
                document = torch.load(self.path, map_location=device, weights_only=True)
            document = tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), document)  # without hooks, say
            found, epochs = document.pop("request"), [Epoch(**epoch) for epoch in document.pop("epochs")]
            state = TrainingState(epochs, **document)
        except Exception as error:  # whatever torch's reader, or a foreign file, brings up
            raise _damaged(self.path, error) from error
        if found != self.request:
            raise UsageError(
                f"{self.path} is of another fine-tuning: the recipe, the network or the data changed since; delete it "
                "to begin anew, or pass another --out."
            )
        return state


@contextmanager
def read_from(file: StateFile | None) -> Iterator[None]:
    """Load what was read from ``file``: raises UsageError for whatever a damaged one brings up."""
    try:
        yield
    except Exception as error:
        if file is None:
            raise
        raise _damaged(file.path, error) from error


def _damaged(path: Path, error: Exception) -> UsageError:
    return UsageError(f"{path} cannot be gone on from ({type(error).__name__}); delete it to begin anew.")
