"""One element of an iterable: an example (x, y) or a batch of them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from calibrate.data.images import IMAGE_CHANNELS, BrokenImageError, as_image, is_system_error
from calibrate.errors import DataError, UsageError

#: An image, or floating point network input (C, ...) as float32.
Input = Image.Image | Tensor


#: What the input and the label of an example are called in a mapping, by Hugging Face's data sets and others.
INPUTS = ("image", "images", "pixel_values", "img", "x", "input", "inputs", "data")
LABELS = ("label", "labels", "y", "target", "targets", "class", "fine_label")
#: The names of the input and the label in examples that are mappings.
Keys = tuple[str, str]
KEYS_MOVE = (
    "say which are the input and the label: open_data(…, keys=('image', 'label')), or let the data yield pairs (x, y)."
)


def check_keys(keys: Keys | None) -> None:
    """Refuse ``keys`` that are no two names."""
    if keys is None:
        return
    if not isinstance(keys, tuple | list) or len(keys) != 2 or not all(isinstance(key, str) for key in keys):
        raise UsageError(f"keys are {keys!r}; give the names of the input and the label, such as ('image', 'label').")


def unpack(element: Any, name: str, keys: Keys | None = None) -> Iterator[tuple[Input, int]]:
    """The examples in ``element``, one or a batch, as input and class index; errors call it ``name``.

    Of a mapping, ``keys`` say which are the input and the label; without them the usual names are looked for.
    """
    yield from ((read_input(x, called), label) for x, label, called in examples_in(element, name, keys))


def examples_in(element: Any, name: str, keys: Keys | None = None) -> Iterator[tuple[Any, int, str]]:
    """The examples in ``element`` as :func:`unpack` finds them, before their inputs are read, and what to call each.

    >>> [called for _, _, called in examples_in(([0.5, 1.5], [0, 1]), "element 3")]
    ['example 0 of element 3', 'example 1 of element 3']
    """
    given, labels = pair_of(element, name, keys)
    inputs, labels = given, _labels(labels, name)
    if labels.ndim == 1 and len(labels) == 1 and isinstance(inputs, Image.Image):
        labels = labels.reshape(())  # as in MedMNIST's data sets
    if labels.ndim == 0:
        yield inputs, int(labels), name
        return
    if _length(inputs) != len(labels):
        raise DataError(
            f"{name} has {len(labels)} labels for an input of {_describe(inputs)}; give each input one label."
        )
    for index, label in enumerate(labels.tolist()):
        yield inputs[index], label, f"example {index} of {name}"


def pair_of(element: Any, name: str, keys: Keys | None = None) -> tuple[Any, Any]:
    """The input and the label in one element, a pair or a mapping.

    >>> pair_of({"pixel_values": 1.5, "labels": 2}, "element 0")
    (1.5, 2)
    """
    if isinstance(element, Mapping):
        chosen = keys or (None, None)
        return (
            element[_key(element, INPUTS, "input", name, chosen[0])],
            element[_key(element, LABELS, "label", name, chosen[1])],
        )
    if keys is not None:
        raise DataError(f"{name} is {_describe(element)}, and `keys` are of mappings; leave them out.")
    if not isinstance(element, tuple | list) or len(element) != 2:
        raise DataError(
            f"{name} is {_describe(element)}, not a pair; let the data yield (x, y), the input and its class index, or "
            "mappings with an image and a label; two whole arrays become that by list(zip(x, y))."
        )
    return element[0], element[1]


def input_key(element: Mapping[Any, Any], name: str) -> Any:
    """The key of the input in a mapping of one batch."""
    move = "give the tensors themselves, as in [batch['picture'] for batch in loader]."
    return _key(element, INPUTS, "input", name, None, move)


def _key(
    element: Mapping[Any, Any], usual: tuple[str, ...], what: str, name: str, given: str | None, move: str = KEYS_MOVE
) -> Any:
    found = [key for key in ((given,) if given is not None else usual) if key in element]
    if len(found) == 1:
        return found[0]
    held = ", ".join(map(repr, element)) or "none"
    why = f"none of them is {given!r}" if given is not None else f"{' and '.join(map(repr, found)) or 'none of them'}"
    is_what = "" if given is not None else f" may be the {what}" if found else f" is called as {what}s usually are"
    raise DataError(f"{name} is a mapping with the keys {held}, and {why}{is_what}; {move}")


def stored_bytes(value: Input) -> bytes:
    """What makes an input this input: kind, shape and values."""
    if isinstance(value, Image.Image):
        return repr((value.mode, value.size, value.getpalette())).encode() + value.tobytes()
    return repr(tuple(value.shape)).encode() + value.numpy().tobytes()


def _labels(y: Any, name: str) -> NDArray[np.generic]:
    try:
        labels = np.asarray(y.tolist() if isinstance(y, Tensor) else y)
    except ValueError:
        labels = np.asarray(None)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "iu" or labels.ndim > 1:
        raise DataError(
            f"{name} has the label {_describe(y)}; give the integer index of its class, or a batch of them."
        )
    return labels


def read_input(x: Any, name: str) -> Input:
    """The input ``x``, decoded where it is an image; BrokenImageError where that fails."""
    if isinstance(x, Image.Image):
        try:
            x.load()
        except MemoryError:
            raise
        except Exception as error:  # Pillow's readers raise nearly anything on damaged files
            if is_system_error(error):
                raise DataError(f"{name} has an image whose file cannot be read: {error}; see to its disk.") from None
            raise BrokenImageError(
                f"{name} has an image that cannot be read ({error}); replace or remove it."
            ) from None
        return x
    values = x.detach().cpu() if isinstance(x, Tensor) else x
    if isinstance(values, Tensor) and values.dtype == torch.uint8:
        values = values.movedim(0, -1) if values.ndim == 3 and values.shape[0] in IMAGE_CHANNELS else values
        values = values.numpy()
    if isinstance(values, np.ndarray) and values.dtype == np.uint8:
        if values.size and (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in IMAGE_CHANNELS)):
            return as_image(values)
    elif isinstance(values, Tensor) and values.is_floating_point() and values.ndim:
        return values.to(torch.float32)
    elif isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.ndim:
        return torch.from_numpy(values.astype(np.float32))
    raise DataError(
        f"{name} has {_describe(x)} as its input; give a PIL image, 8-bit pixels of shape (H, W) or (H, W, C) with "
        f"1, 3 or 4 channels, or floating point network input of shape (C, ...)."
    )


def _length(inputs: Any) -> int | None:
    """How many examples a batch of inputs has; None where it is no batch."""
    if isinstance(inputs, tuple | list):
        return len(inputs)
    return len(inputs) if isinstance(inputs, Tensor | np.ndarray) and inputs.ndim else None


def _describe(value: Any) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} {value.dtype} of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 40 else type(value).__name__
