"""Features: what chosen modules of a network put out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from calibrate.errors import ModelError
from calibrate.finetune.head import modules_of
from calibrate.surgery import watching

#: For each module by its name, what it put out in each of its calls.
Features = Mapping[str, list[Tensor]]


@contextmanager
def gathering(model: nn.Module, layers: Sequence[str]) -> Iterator[Features]:
    """The features (N, C, *) that the modules called ``layers`` put out in the last call of ``model``.

    They are as the network leaves them: an operation in place that follows a module changes its features too. The hooks
    are given back on every exit.
    """
    features: dict[str, list[Tensor]] = {name: [] for name in layers}

    def begin(_model: nn.Module, _inputs: tuple[Any, ...]) -> None:
        for calls in features.values():
            calls.clear()

    names: dict[nn.Module, list[str]] = {}
    for name, module in dict(zip(layers, modules_of(model, layers), strict=True)).items():
        names.setdefault(module, []).append(name)

    def gather(module: nn.Module, _inputs: tuple[Any, ...], output: object) -> None:
        if not isinstance(output, Tensor) or output.dim() < 2:
            raise ModelError(
                f"{names[module][0]} puts out a {type(output).__name__}, where features of shape (N, C) or (N, C, *) "
                "are needed; name another module."
            )
        for name in names[module]:
            features[name].append(output)

    with watching([model], before=begin), watching(names, after=gather):
        yield features
