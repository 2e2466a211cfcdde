"""What the layouts of checkpoints share: the network, its weights, its training, classes of absent packages.

A layout is a function that writes one file into a folder, as a tool writes it, and says what the file holds.
"""

import copy
import sys
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from calibrate.demo.inputs import CHECKPOINT, fresh_network
from calibrate.errors import AfternormError

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Written:
    """A checkpoint, and the weights in it by their place, under the network's own names; the usual ones come first.

    Where the file holds what weights are computed from, they may differ by ``tolerance``, relative to the largest.
    """

    path: Path
    holds: Mapping[str, State]
    tolerance: float = 0.0

    def taken(self, model: nn.Module) -> str | None:
        """Which of the file's weights ``model`` has; None where it has others."""
        return next((place for place, state in self.holds.items() if self._has(model, state)), None)

    def _has(self, model: nn.Module, state: State) -> bool:
        for name, wanted in state.items():
            module, _, kind = name.rpartition(".")
            held = getattr(model.get_submodule(module), kind).detach()
            if held.dtype != wanted.dtype or held.shape != wanted.shape:
                return False
            if not torch.equal(held, wanted):
                if not self.tolerance or not wanted.is_floating_point():
                    return False
                if (held - wanted).abs().max() > self.tolerance * wanted.abs().max():
                    return False
        return True


Layout = Callable[[Path], Written]


def opening(layout: Layout, folder: Path, opens: Callable[[Path], nn.Module]) -> tuple[Written, str | None, str]:
    """Write a checkpoint and open it: the file, which of its weights were taken, and why none."""
    written = layout(folder)
    try:
        taken = written.taken(opens(written.path))
    except AfternormError as error:
        return written, None, str(error)
    return written, taken, "" if taken is not None else "opened with other tensors than it holds"


def network(state: State | None = None) -> nn.Module:
    """The demo's network with its trained weights, or others."""
    model = fresh_network()
    model.load_state_dict(load_file(CHECKPOINT) if state is None else dict(state))
    return model.eval()


def weights() -> "OrderedDict[str, Tensor]":
    """The trained weights, as the network's ``state_dict()`` returns them, with its ``_metadata``."""
    return OrderedDict(network().state_dict())


def averaged() -> "OrderedDict[str, Tensor]":
    """Other weights of the same network, as averaging over the training would give."""
    return OrderedDict(
        (name, value * 0.96875 if value.is_floating_point() else value.clone()) for name, value in weights().items()
    )


def initial() -> "OrderedDict[str, Tensor]":
    """Weights that a network has before its training."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return OrderedDict(fresh_network().state_dict())


def prefixed(state: State, prefix: str) -> "OrderedDict[str, Tensor]":
    """``state`` with ``prefix`` before every name."""
    return OrderedDict((prefix + name, value) for name, value in state.items())


@cache
def _trained() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    model = network().train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=10)
    model(torch.zeros(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    schedule.step()
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000}
    return optimizer.state_dict(), schedule.state_dict(), {**scaler, "_growth_tracker": 12}


def optimizer() -> dict[str, Any]:
    """The state dict of an optimizer that took a step."""
    return copy.deepcopy(_trained()[0])


def schedule() -> dict[str, Any]:
    """The state dict of a learning rate's schedule."""
    return copy.deepcopy(_trained()[1])


def scaler() -> dict[str, Any]:
    """The state dict of a ``GradScaler``."""
    return dict(_trained()[2])


def saved(path: Path, document: Any, **options: Any) -> Path:
    """What ``torch.save`` writes; the old format warns where it finds no source of a class."""
    with warnings.catch_warnings(action="ignore"):
        torch.save(document, path, **options)
    return path


@contextmanager
def absent_packages() -> Iterator[Callable[..., Any]]:
    """Lend a maker of classes of packages that are not installed; afterwards no name of them can be imported.

    ``make("package.module.Class", *bases, **body)`` returns a class that pickles under that name, the same each
    time; with ``given`` a class or function that is made already takes that name.
    """
    made: list[str] = []

    def make(path: str, *bases: type, given: Any = None, **body: Any) -> Any:
        module, _, name = path.rpartition(".")
        for part in accumulate(module.split("."), "{}.{}".format):
            if part not in sys.modules:
                sys.modules[part] = types.ModuleType(part)
                made.append(part)
        if hasattr(sys.modules[module], name):
            return getattr(sys.modules[module], name)
        kind = given or (type(bases[0])(name, bases, body) if bases else type(name, (), body))
        kind.__module__, kind.__qualname__ = module, name
        for function in body.values():
            if isinstance(function, types.FunctionType):
                function.__module__, function.__qualname__ = module, f"{name}.{function.__name__}"
        setattr(sys.modules[module], name, kind)
        return kind

    try:
        yield make
    finally:
        for name in made:
            del sys.modules[name]


def record(kind: Any, **fields: Any) -> Any:
    """An object of a class, with these attributes, which no ``__init__`` had a hand in."""
    instance = kind.__new__(kind)
    instance.__dict__.update(fields)
    return instance
