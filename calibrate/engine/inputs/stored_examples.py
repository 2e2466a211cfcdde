"""Examples as they are stored, and the network input that each preparation makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Source, cached, prepare_arrays, prepare_pixels
from calibrate.diagnose import (
    MAXIMA,
    FirstLayer,
    Pair,
    array_preparations,
    channel_moments,
    contrast,
    image_preparations,
    misfit,
    unit_ranges,
)
from calibrate.engine.passes.batches import drawn
from calibrate.engine.passes.setting import Setting
from calibrate.preprocessing import InputMap, Preprocessing
from calibrate.stats import Moments
from calibrate.steps import DARK, PreparationFit

#: How many examples are compared, of how many all preparations are tried, and how few are too few to tell.
EXAMPLES, TRIED, LEAST_EXAMPLES = 100, 16, 8
#: All examples that are compared have at most so many bytes.
MEMORY = 64 << 20
#: Misfits are told up to this size.
LARGEST = 1e9

#: What makes network input of images, or of arrays.
Preparation = Preprocessing | InputMap


@dataclass(frozen=True, slots=True, eq=False)
class StoredExamples:
    """Examples of a source as they are stored, and how to make network input of them."""

    source: Source
    rows: NDArray[np.int64]
    raw: Tensor
    brightened: Mapping[int, float]
    setting: Setting
    dtype: torch.dtype

    def channels_first(self, given: Preparation) -> Tensor:
        """The examples with their channels first, where ``given`` says that they come last."""
        return self.raw.movedim(-1, 1) if isinstance(given, InputMap) and given.channels_last else self.raw

    def few_inputs(self, preparation: Preparation) -> Tensor:
        """Network input (n, C, *) of the few examples on which all preparations are tried."""
        return self.inputs(preparation, max(1, len(self.rows) // TRIED))

    def inputs(self, preparation: Preparation, step: int = 1) -> Tensor:
        """Network input (n, C, *) of every ``step``-th example."""
        raw = self.raw[::step]
        if isinstance(preparation, InputMap):
            made = prepare_arrays(raw, preparation)
        else:
            brighter = self.brightened.get(preparation.maximum or 0, 1.0)
            given = self.source.preprocessing
            turned = given is not None and given.transposed != preparation.transposed
            pixels = raw if brighter == 1 else (raw.to(torch.float32) * brighter).clamp_max(255)
            made = prepare_pixels(pixels.transpose(-2, -1) if turned else pixels, preparation)
        return made.to(self.setting.device, self.dtype)


def read_examples(
    source: Source, rows: NDArray[np.int64], setting: Setting, dtype: torch.dtype, seed: int
) -> StoredExamples:
    """Some of the examples ``rows``, each decoded once, but for ones that are not finite.

    Raises DataError where they differ in shape.
    """
    source = cached(source)
    (first,) = source.stored(rows[:1])
    fitting = max(LEAST_EXAMPLES, MEMORY // max(1, 4 * first.numel()))
    chosen = drawn(rows, min(EXAMPLES, fitting, len(rows)), seed)
    for _ in source.batches(chosen, len(chosen)):
        pass
    raw = torch.stack(list(source.stored(chosen)))
    finite = raw.flatten(1).isfinite().all(1)
    raw, chosen = raw[finite], chosen[finite.numpy()]
    brightened = {}
    if source.preprocessing is not None and len(raw) and used_range(raw) <= DARK:
        white = source.white(int(chosen[0])) if source.preprocessing.maximum is None else source.preprocessing.maximum
        brightest = (int(raw.amax()) - 0.5) * white / 255
        if (maximum := _maximum(brightest, white)) is not None:
            brightened = {maximum: white / maximum}
    return StoredExamples(source, chosen, raw, brightened, setting, dtype)


def other_preparations(
    examples: StoredExamples, given: Preparation, training: Source | None
) -> Mapping[str, Preparation]:
    """What the examples may have been prepared by instead, by name."""
    source, raw = examples.source, examples.channels_first(given)
    known = None if training is None else _moments_of(training, source, given, raw.shape[1])
    if isinstance(given, Preprocessing):
        unit = raw.to(torch.float32) / 255
        return image_preparations(
            given,
            maximum=next(iter(examples.brightened), None),
            data=channel_moments(unit),
            training=known,
            square=raw.shape[-1] == raw.shape[-2],
        )
    return array_preparations(
        given,
        tuple(raw.shape[1:]),
        *_ends(raw),
        data=channel_moments(raw),
        training=known,
    )


def _moments_of(training: Source, source: Source, given: Preparation, channels: int) -> Pair | None:
    """Mean and std of the ``training`` data, images on a scale of 0 to 1; None where they are of another kind.

    Examples that are not finite, or have not so many channels, are left out.
    """
    if (training.preprocessing is None) != (source.preprocessing is None):
        return None
    pooled: Moments | None = None
    for example in training.stored(np.arange(len(training))[:: max(1, len(training) // EXAMPLES)]):
        x = example.movedim(-1, 0) if isinstance(given, InputMap) and given.channels_last else example
        if len(x) == channels and x.isfinite().all():
            own = Moments.of(x[None] if x.is_floating_point() else x[None].to(torch.float32) / 255)
            pooled = own if pooled is None else pooled.merge(own)
    return None if pooled is None else (tuple(pooled.mean.tolist()), tuple(pooled.variance.sqrt().tolist()))


def fit_of(
    model: nn.Module, first: FirstLayer, examples: StoredExamples, name: str, preparation: Preparation
) -> PreparationFit:
    """How well one preparation fits, on all examples."""
    return PreparationFit(
        name=name,
        misfit=min(misfit(model, first, [examples.inputs(preparation)]), LARGEST),
        preprocessing=_as_preprocessing(preparation),
    )


def preparation_of(fit: PreparationFit) -> Preparation:
    """The preparation that was compared, as a source applies it."""
    shape = fit.preprocessing
    if shape is None:
        return InputMap()
    return shape if shape.arrays is None else shape.arrays


def _as_preprocessing(preparation: Preparation) -> Preprocessing | None:
    if isinstance(preparation, Preprocessing):
        return preparation.model_copy(update={"auto": False})
    return None if preparation == InputMap() else Preprocessing(arrays=preparation)


def used_range(pixels: Tensor) -> float:
    """The largest pixel over the largest of 8 bits."""
    return float(pixels.amax()) / 255


def _maximum(brightest: float, white: int) -> int | None:
    return next((value for value in MAXIMA if brightest <= value < white), None)


def contrast_of(examples: StoredExamples, given: Preparation) -> float | None:
    """The range of values within an example, of 0 to 1, before mean and std; None where these are not known."""
    raw = examples.channels_first(given)
    if isinstance(given, Preprocessing):
        white = 255 * used_range(raw) if examples.brightened else 255
        return contrast(raw / max(white, 1))
    ranges = unit_ranges(tuple(raw.shape[1:]), *_ends(raw))
    return max((contrast(prepare_arrays(raw, item)) for item in ranges), default=None)


def _ends(arrays: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The lowest and the highest value of each channel of ``arrays`` (n, C, *)."""
    by_channel = arrays.transpose(0, 1).flatten(1)
    return tuple(by_channel.amin(1).tolist()), tuple(by_channel.amax(1).tolist())
