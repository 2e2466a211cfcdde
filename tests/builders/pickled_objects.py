"""Objects as trainers pickle them beside the weights, of packages that need not be installed."""

import argparse
import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import functools
import pathlib
import random
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


@contextlib.contextmanager
def package(*members: type | Callable[..., Any]) -> Iterator[None]:
    """While it is open, classes and functions belong to modules that exist; their ``__module__`` says which."""
    made: list[str] = []
    for member in members:
        parts = member.__module__.split(".")
        for module in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
            if module not in sys.modules:
                sys.modules[module] = types.ModuleType(module)
                made.append(module)
        setattr(sys.modules[member.__module__], member.__qualname__, member)
    try:
        yield
    finally:
        for module in made:
            del sys.modules[module]


def belongs(module: str, *, name: str | None = None) -> Callable[[Any], Any]:
    """Puts a class or function into a module that does not exist."""

    def place(member: Any) -> Any:
        member.__module__ = module
        member.__qualname__ = name or member.__name__
        return member

    return place


@belongs("lightning.fabric.utilities.data")
class AttributeDict(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@belongs("mmengine.logging.history_buffer")
class HistoryBuffer:
    def __init__(self) -> None:
        self._history = np.arange(5.0)
        self._statistics = {"mean": HistoryBuffer.mean}

    def mean(self) -> float:
        return 0.0


HistoryBuffer.mean.__qualname__ = "HistoryBuffer.mean"
HistoryBuffer.mean.__module__ = HistoryBuffer.__module__


@belongs("omegaconf.dictconfig")
class DictConfig:
    def __init__(self) -> None:
        self._content = {"lr": 0.1}
        self._metadata = {"ref_type": typing.Any, "element_type": typing.Optional[int]}  # noqa: UP045

    def __getstate__(self) -> Any:
        return {**self.__dict__, "_flags": None}

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)


@belongs("project.records")
class Slots:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a, self.b = 1, {"x": torch.ones(1)}


@belongs("project.records")
class Keywords:
    def __new__(cls, *, size: int) -> "Keywords":
        return object.__new__(cls)

    def __getnewargs_ex__(self) -> Any:
        return (), {"size": 3}


@belongs("project.records")
class Items(list[int]):
    pass


@belongs("project.records")
class lower_case:  # noqa: N801
    pass


@belongs("project.records")
class Color(enum.Enum):
    RED = 1


@belongs("project.records")
class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


@belongs("project.records")
class OlderEnum(enum.Enum):
    """As Python 3.11 pickled what takes part in global names: by getattr."""

    ONE = 1

    def __reduce_ex__(self, protocol: Any) -> Any:
        return getattr, (self.__class__, self._name_)


@belongs("project.records")
def activation(x: Any) -> Any:
    return x


Pair = belongs("project.records")(collections.namedtuple("Pair", "x y"))

PACKAGES = (
    *(AttributeDict, HistoryBuffer, DictConfig, Slots, Keywords, Items, lower_case, Color, Level, OlderEnum),
    *(activation, Pair),
)


def attribute_dict() -> Any:
    hyper_parameters = AttributeDict(lr=0.1, net=AttributeDict(depth=20), path=Path("/data"))
    hyper_parameters.__dict__["extra"] = 1
    return hyper_parameters


def optimizer() -> torch.optim.Optimizer:
    parameter = nn.Parameter(torch.ones(2))
    adam = torch.optim.Adam([parameter])
    parameter.sum().backward()
    adam.step()
    return adam


def inert() -> dict[str, Any]:
    """Objects that carry no code, by name; pickle them while ``package(*PACKAGES)`` is open."""
    adam = optimizer()
    shared = [1, 2]
    return {
        "namespace": argparse.Namespace(lr=0.1, inner=argparse.Namespace(a=[1])),
        "simple namespace": types.SimpleNamespace(lr=0.1),
        "numpy scalars": [np.float64(1.5), np.float32(2), np.int64(3), np.bool_(True), np.str_("a")],
        "numpy arrays": [np.arange(6).reshape(2, 3), np.asfortranarray(np.eye(3)), np.array(["a", "b"]), np.zeros(0)],
        "numpy objects": [
            np.array([None, {"a": 1}], dtype=object),
            np.dtype("f4"),
            np.dtype([("a", "i4")]),
            np.float32,
        ],
        "numpy generators": [np.random.default_rng(0), np.random.RandomState(0), np.random.RandomState(0).get_state()],
        "datetime64": [np.datetime64("2020-01-01"), np.ma.masked_array([1, 2], [True, False])],
        "paths": [Path("/a/b"), pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("c:\\a")],
        "dates": [
            datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
            datetime.date(2020, 1, 1),
            datetime.timedelta(1),
            datetime.time(1),
        ],
        "numbers": [decimal.Decimal("1.5"), fractions.Fraction(1, 3), 1j, 2**200, -(2**40), float("nan"), 1e300],
        "uuid": uuid.uuid4(),
        "counter": collections.Counter("abca"),
        "defaultdict": collections.defaultdict(list, {"a": [1]}),
        "defaultdict of a function": collections.defaultdict(activation, {1: 2}),
        "deque": collections.deque([1, 2, 3], maxlen=3),
        "ordered": collections.OrderedDict(a=1, b=collections.OrderedDict()),
        "named tuple": Pair(1, [2]),
        "enums": [Color.RED, Level.LOW | Level.HIGH, OlderEnum.ONE, {Color.RED: 1}],
        "partials": [functools.partial(activation, 1, a=2), functools.partial(torch.optim.SGD, lr=0.1)],
        "references": [nn.functional.relu, torch.optim.Adam, activation, Color, int, max, torch.float32, np.mean],
        "losses": [nn.CrossEntropyLoss(torch.ones(3)), nn.MSELoss()],
        "optimiser": adam,
        "optimiser's state": adam.state_dict(),
        "schedulers": [torch.optim.lr_scheduler.CosineAnnealingLR(adam, 10), torch.optim.lr_scheduler.StepLR(adam, 3)],
        "lightning": attribute_dict(),
        "omegaconf": DictConfig(),
        "mmengine": HistoryBuffer(),
        "slots": Slots(),
        "new with keywords": Keywords(size=3),
        "list subclass": Items([1, 2]),
        "class in lower case": lower_case(),
        "scaler": torch.amp.GradScaler("cpu"),
        "generators": [torch.Generator().get_state(), random.getstate(), random.Random(0), np.random.get_state()],
        "torch's small things": [torch.device("cpu"), torch.float16, torch.Size([2, 3]), torch.strided],
        "sets": [{1, 2}, frozenset({"a"}), set(), {(1, 2)}, {(1, (2, 3)): 4}],
        "bytes": [b"abc", bytearray(b"abc"), b"", bytearray(), b"\xff" * 300],
        "annotations": [typing.Any, typing.Optional[int], list[int], type(None), ...],  # noqa: UP045
        "slices": [slice(1, 2), range(3)],
        "error": ValueError("diverged"),
        "shared": [shared, shared],
        "tensor keys": {nn.Parameter(torch.ones(1)): 1},
    }


def cyclic() -> Any:
    """A trainer that knows its callbacks, which know it."""
    trainer = argparse.Namespace(callbacks=[])
    trainer.callbacks.append({"trainer": trainer})
    return trainer


@belongs("project.models")
class Block(nn.Module):
    """A network of a user's own, with what a state dict leaves out and what has another name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 2, bias=False)
        self.bn = nn.BatchNorm2d(3)
        self.head = nn.Sequential(nn.Linear(3, 2), nn.Identity())
        self.tied = self.head[0]
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("grid", torch.zeros(4), persistent=False)
        self.register_buffer("mean", torch.arange(3.0).expand(2, 3))
        self.register_parameter("none", None)
        self.activations = [nn.functional.relu, nn.ReLU]


class _Trainer:
    def __init__(self, model: nn.Module) -> None:
        self.model, self.optimizer, self.epoch = model, torch.optim.SGD(model.parameters(), 0.1), 3


Trainer = belongs("project.models", name="Trainer")(_Trainer)


def networks() -> dict[str, tuple[Any, nn.Module]]:
    """Documents that hold a network pickled whole, and that network; pickle them inside ``package(Block, Trainer)``."""
    torch.manual_seed(0)
    block, average = Block(), Block()
    parallel = nn.DataParallel(block)
    averaged = torch.optim.swa_utils.AveragedModel(block)
    half = Block().half()
    small = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    return {
        "alone": (block, block),
        "of torch's own": (small, small),
        "under model": ({"epoch": 1, "model": block, "optimizer": {"state": {}}}, block),
        "with its average": ({"model": block, "ema": average, "updates": 3}, block),
        "only the average": ({"model": None, "ema": half}, half),
        "data parallel": ({"net": parallel}, block),
        "averaged": ({"model": averaged.module, "n": 1}, averaged.module),
        "in a trainer": (Trainer(block), block),
        "compiled": (torch.compile(block), block),
    }
