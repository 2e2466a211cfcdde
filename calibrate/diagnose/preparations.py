"""Preparations: the ways in which the field makes network input of images and arrays, to compare one with."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from calibrate.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputMap, Preprocessing

P = TypeVar("P", Preprocessing, InputMap)

#: A value for each channel, or one for all.
Values = tuple[float, ...]
#: Mean and std of each channel, on a scale of 0 to 1.
Pair = tuple[Values, Values]

#: The pair of values of 0 to 1 as they are.
UNIT: Pair = ((0.0,), (1.0,))
#: The largest number of signed values of 16 bits, as sound has.
SIGNED = 32_768.0

#: For RGB. Caffe's networks take 0 to 255 less the means, in the order BGR, which is among what is tried of each.
COLOR: Mapping[str, Pair] = {
    "ImageNet's mean and std": (IMAGENET_MEAN, IMAGENET_STD),
    "mean = std = 0.5": ((0.5,) * 3, (0.5,) * 3),
    "0–1": ((0.0,) * 3, (1.0,) * 3),
    "0–255": ((0.0,) * 3, (1 / 255,) * 3),
    "0–255 less ImageNet's mean": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3),
    "CIFAR-10's mean and std": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR-10's mean and mean std of images": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "CLIP's mean and std": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
#: For one channel.
GRAY: Mapping[str, Pair] = {
    "ImageNet's mean and std in gray": ((0.449,), (0.226,)),
    "mean = std = 0.5": ((0.5,), (0.5,)),
    "0–1": ((0.0,), (1.0,)),
    "0–255": ((0.0,), (1 / 255,)),
    "MNIST's mean and std": ((0.1307,), (0.3081,)),
    "Fashion-MNIST's mean and std": ((0.2860,), (0.3530,)),
}
#: Preparations by moments of the data themselves, which they always fit.
OF_DATA = (
    "the mean and std of these data",
    "each image by its own mean and std",
    "each example by its own mean and std",
)
#: What comes of images that OpenCV read and that were given ImageNet's mean and std as they are written down.
OF_RGB_ON_BGR = "ImageNet's mean and std in the order of RGB, on channels in the order BGR"
#: For any other number of channels.
ANY: Mapping[str, Pair] = {
    "mean = std = 0.5": ((0.5,), (0.5,)),
    "0–1": UNIT,
    "0–255": ((0.0,), (1 / 255,)),
}
#: How far beyond 0 and 1 a value may lie that is still taken for one of that range.
SLACK = 0.02

#: What values, by their range, may stand for 1: 8 bits, 10, 12, 14 and 16, and reflectances of satellites.
WHITES = (255.0, 1023.0, 4095.0, 10_000.0, 16_383.0, 32_767.0, 65_535.0)

#: By what values of 0 to 1 may have been divided once too often: 255 again, or 65535 where they had 14, 12 or 10 bits.
RATIOS = (65_535 / 16_383, 65_535 / 4095, 65_535 / 1023, 255.0)

#: What the pixels of images may have for white beside the largest number of their type.
MAXIMA = (1, 3, 7, 15, 16, 31, 63, 100, 127, 255, 511, 1023, 2047, 4095, 8191, 10_000, 16_383, 32_767)


def image_preparations(
    given: Preprocessing, *, maximum: int | None, data: Pair, training: Pair | None, square: bool = True
) -> dict[str, Preprocessing]:
    """Preparations of images other than ``given``, by name.

    The pairs of the field, as RGB and BGR, inverted or not; ImageNet's of RGB on BGR, as OpenCV reads images; rows and
    columns exchanged, where images are ``square``; with ``maximum`` as white, where the images use little of the range
    of their type; the mean and std of the ``training`` data where they are known; for grey images those of the ``data``
    too, and each image standardized.
    """
    pairs = dict(COLOR if given.channels == 3 else GRAY)
    if given.channels == 1:
        pairs[OF_DATA[0]] = data
    if training is not None:
        pairs["the mean and std of the training data"] = training
    own = (given.mean[::-1], given.std[::-1]) if given.order == "bgr" else (given.mean, given.std)
    pairs = {"the same mean and std": own, **pairs}
    orders = {"": "rgb"}
    if given.channels == 3:
        orders = {
            ", channels in the order RGB" if given.order == "bgr" else "": "rgb",
            ", channels in the order BGR": "bgr",
        }
    upright = ", not inverted" if given.inverted else ""
    whites = {"": given.maximum} if maximum is None else {f", {maximum} as white": maximum, "": given.maximum}
    made: dict[str, Preprocessing] = {}
    for white_words, white in whites.items():
        for name, (mean, std) in pairs.items():
            for order_words, order in orders.items():
                for inverted in (False, True):
                    reverse = order == "bgr"
                    changed = {
                        "mean": mean[::-1] if reverse else mean,
                        "std": std[::-1] if reverse else std,
                        "order": order,
                        "inverted": inverted,
                        "by_example": False,
                        "maximum": white,
                    }
                    words = f"{name}{order_words}{', inverted (1 − x)' if inverted else upright}{white_words}"
                    made[words] = given.model_copy(update=changed)
    if given.channels == 1:
        made[OF_DATA[1]] = given.model_copy(update={"mean": UNIT[0], "std": UNIT[1], "by_example": True})
    else:
        plain = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "order": "bgr", "inverted": False, "by_example": False}
        made[OF_RGB_ON_BGR] = given.model_copy(update=plain)
    if square:
        made["rows and columns exchanged"] = given.model_copy(update={"transposed": not given.transposed})
    return _others(made, given)


def array_preparations(
    given: InputMap, shape: Sequence[int], low: Values, high: Values, *, data: Pair, training: Pair | None
) -> dict[str, InputMap]:
    """What arrays (C, *) of ``shape``, whose channels range from ``low`` to ``high``, may lack, by name.

    They may never have been normalized, or once too often, or by another pair of the field; have another range, or the
    order BGR; be inverted, or transposed; or, where they are not of three channels, want each example, or the set,
    standardized. ``given`` is not among them.
    """
    made: dict[str, InputMap] = {"as they are": InputMap()}
    channels = shape[0]
    pairs = _pairs(channels)
    for start, back in _ranges(pairs, low, high).items():
        signed = start.startswith("±")
        targets = {"±1": UNIT} if signed else pairs
        for name, pair in targets.items():
            words = name if name == start else f"from {start} to {name}"
            for inverted in (False,) if signed else (False, True):
                for reverse in (False, True) if channels == 3 else (False,):
                    ends = f"{', inverted (1 − x)' if inverted else ''}{', channels reversed' if reverse else ''}"
                    made[f"{words}{ends}"] = _forth(back, pair, inverted=inverted, reverse=reverse)
    if training is not None:
        made["the mean and std of the training data"] = _standardizing(training)
    if channels == 3:
        made["channels reversed"] = given.model_copy(update={"reversed_channels": not given.reversed_channels})
    else:
        made[OF_DATA[0]] = _standardizing(data)
        made[OF_DATA[2]] = InputMap(by_example=True)
    if len(shape) > 2 and shape[-1] == shape[-2]:
        made["the last two dimensions exchanged"] = given.model_copy(update={"transposed": not given.transposed})
    same = {"channels_last": given.channels_last}
    return _others({name: _simplest(item.model_copy(update=same)) for name, item in made.items()}, given)


def unit_ranges(shape: Sequence[int], low: Values, high: Values) -> tuple[InputMap, ...]:
    """The maps by which arrays (C, *) from ``low`` to ``high`` may go back to 0 to 1, after usual preparations."""
    pairs = _pairs(shape[0])
    usual = {*pairs, "0–1", *(f"0–{white:g}" for white in WHITES)}
    found = _ranges(pairs, low, high)
    return tuple(InputMap(scale=scale, shift=shift) for name, (scale, shift) in found.items() if name in usual)


def _pairs(channels: int) -> Mapping[str, Pair]:
    return {3: COLOR, 1: GRAY}.get(channels, ANY)


def _ranges(pairs: Mapping[str, Pair], low: Values, high: Values) -> dict[str, Pair]:
    """By which maps the arrays may come from values of 0 to 1, as scale and shift back to these."""
    tried: dict[str, Pair] = {}
    for name, (mean, std) in pairs.items():
        back = list(zip(std, mean, strict=True))
        tried[name] = (std, mean)
        if (mean, std) == (UNIT[0] * len(mean), UNIT[1] * len(std)):
            continue
        tried[f"{name} twice"] = tuple(s * s for s, _ in back), tuple(m * s + m for s, m in back)
        tried[f"{name} on 0–255"] = tuple(s / 255 for s, _ in back), tuple(m / 255 for _, m in back)
    tried |= {f"0–1 divided by {ratio:g}": ((ratio,), (0.0,)) for ratio in RATIOS}
    tried |= {f"0–{white:g}": ((1 / white,), (0.0,)) for white in WHITES}
    found = {name: pair for name, pair in tried.items() if _is_range(low, high, pair)}
    if min(low) < -SIGNED / 16 and max(*high, -min(low)) <= SIGNED:
        found[f"±{SIGNED:g}"] = ((1 / SIGNED,), (0.0,))
    return found


def _is_range(low: Values, high: Values, back: Pair) -> bool:
    """Whether the values of every channel, mapped ``back``, lie within 0 to 1, and fill a third of that in one."""
    ends = [(a * scale + shift, b * scale + shift) for a, b, scale, shift in _zipped(low, high, *back)]
    return all(begin >= -SLACK and end <= 1 + SLACK for begin, end in ends) and any(b - a > 1 / 3 for a, b in ends)


def _standardizing(pair: Pair) -> InputMap:
    mean, std = pair
    return InputMap(
        scale=tuple(1 / max(s, 1e-12) for s in std),
        shift=tuple(-m / max(s, 1e-12) for m, s in zip(mean, std, strict=True)),
    )


def _forth(back: Pair, pair: Pair, *, inverted: bool, reverse: bool) -> InputMap:
    """Back to 0 to 1, then channels reversed and values inverted where that is asked, then mean and std of ``pair``."""
    scale, shift = (values[::-1] for values in back) if reverse else back
    mean, std = pair
    sign = -1.0 if inverted else 1.0
    return InputMap(
        reversed_channels=reverse,
        scale=tuple(sign * a / s for a, s in _zipped(scale, std)),
        shift=tuple(((1 - b if inverted else b) - m) / s for b, m, s in _zipped(shift, mean, std)),
    )


def _simplest(item: InputMap) -> InputMap:
    """``item`` without scales of 1 and shifts of 0 but for rounding."""
    if any(abs(value - 1) > 1e-9 for value in item.scale) or any(abs(value) > 1e-9 for value in item.shift):
        return item
    return item.model_copy(update={"scale": UNIT[1], "shift": UNIT[0]})


def _zipped(*columns: tuple[float, ...]) -> list[tuple[float, ...]]:
    """The columns side by side, of which some have one value for all channels."""
    longest = max(map(len, columns))
    return list(zip(*(column * (longest if len(column) == 1 else 1) for column in columns), strict=True))


def _others(made: dict[str, P], given: P) -> dict[str, P]:
    """Those that are not ``given``, each once, by its first name."""
    seen = [given]
    others: dict[str, P] = {}
    for name, item in made.items():
        if item not in seen:
            seen.append(item)
            others[name] = item
    return others
