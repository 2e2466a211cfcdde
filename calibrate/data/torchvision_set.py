"""Torchvision's named data sets, from files that are already there."""

import inspect
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from PIL import Image

from calibrate.data.images import BrokenImageError, check_pixels, is_system_error
from calibrate.errors import DataError, UnavailableError, UnsafeInputError, UsageError

SCHEME = "torchvision:"
EXAMPLE = "torchvision:CIFAR10?root=/data"

#: Sets of images with one class each that only read their files, and unpickle none that is not known by its checksum.
NAMES = (
    *("CIFAR10", "CIFAR100", "Country211", "DTD", "EMNIST", "EuroSAT", "FGVCAircraft", "FashionMNIST", "Flowers102"),
    *("Food101", "GTSRB", "ImageFolder", "Imagenette", "KMNIST", "MNIST", "OxfordIIITPet", "RenderedSST2", "SEMEION"),
    *("STL10", "SUN397", "SVHN", "USPS"),
)
#: Parameters that are code, or would fetch something.
CLOSED = {"self", "root", "download", "transform", "target_transform", "transforms", "loader", "is_valid_file"}


class TorchvisionSet:
    """The examples of one of torchvision's sets by index: ``torchvision:NAME?root=DIR`` and further ``&option=value``.

    The options are those of torchvision's class. Unless told otherwise it is the test set. Nothing is ever downloaded.
    ``classes`` are its class names, where it has any.
    """

    def __init__(self, text: str) -> None:
        self.name = text
        kind, _, query = text.removeprefix(SCHEME).partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        if kind not in NAMES:
            raise UsageError(f"{text!r} names no set that can be read; give one of {', '.join(NAMES)}.")
        root = options.pop("root", "")
        if not root:
            raise UsageError(f"{text!r} says no root; give the directory that holds the files, as in {EXAMPLE}.")
        if not Path(root).is_dir():
            raise DataError(f"the root {root!r} of {text!r} is not a directory; give the one that holds the files.")
        from torchvision import datasets

        self._set = self._open(getattr(datasets, kind), root, options)
        names = getattr(self._set, "classes", None)
        unique = (
            isinstance(names, list) and all(isinstance(name, str) for name in names) and len({*names}) == len(names)
        )
        self.classes = tuple(names) if unique and names else None

    def __len__(self) -> int:
        return len(self._set)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        try:
            image, label = self._set[index]
            if isinstance(image, Image.Image):
                check_pixels(image.width, image.height, f"example {index} of {self.name}")
        except UnsafeInputError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UnsafeInputError(f"example {index} of {self.name} is too large an image: {error}") from None
        except Exception as error:  # readers raise nearly anything on damaged files
            kind = DataError if is_system_error(error) else BrokenImageError
            raise kind(
                f"example {index} of {self.name} cannot be read ({error}); replace its file or get the set again."
            ) from None
        return image, int(label)

    def _open(self, kind: Any, root: str, options: dict[str, str]) -> Any:
        parameters = _parameters(kind)
        arguments: dict[str, Any] = {}
        if "train" in parameters:
            arguments["train"] = False
        elif "split" in parameters and parameters["split"].default is not inspect.Parameter.empty:
            arguments["split"] = "test"
        arguments.update({option: self._value(option, text, parameters) for option, text in options.items()})
        if "download" in parameters:
            arguments["download"] = False
        try:
            return kind(root, **arguments)
        except ImportError as error:
            raise UnavailableError(
                f"torchvision's {kind.__name__} needs the package {error.name or 'it names'} ({error}); install it."
            ) from None
        except Exception as error:  # each set has its own ways to fail on missing or damaged files
            reason = str(error).split(" You can use download")[0]
            raise DataError(
                f"torchvision's {kind.__name__} cannot be read from {root!r}: {reason.rstrip('.')}. Nothing is "
                f"downloaded here; put the set's files below the root as torchvision lays them out."
            ) from None

    def _value(self, option: str, text: str, parameters: dict[str, inspect.Parameter]) -> Any:
        accepted = sorted(set(parameters) - CLOSED)
        if option not in accepted:
            raise UsageError(f"{self.name!r} has the option {option!r}; it takes root, {', '.join(accepted)}.")
        default = parameters[option].default
        if isinstance(default, bool):
            if text.lower() not in ("true", "false"):
                raise UsageError(f"{self.name!r} gives {option} as {text!r}; give true or false.")
            return text.lower() == "true"
        return int(text) if not isinstance(default, str) and text.isdecimal() else text


def _parameters(kind: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class, with those of the class it hands further keywords to."""
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            own = inspect.signature(base.__init__).parameters
            found = {**own, **found}
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
                break
    return {name: item for name, item in found.items() if item.kind is not item.VAR_KEYWORD}
