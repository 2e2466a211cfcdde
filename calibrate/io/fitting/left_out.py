"""What is left out of a file beside the weights that a network takes, and whether predictions may need it."""

import re

from torch import Tensor

from calibrate.io.fitting.places import COUNTS
from calibrate.io.state_dicts import is_averaged

#: What a profiler (thop) adds to every module, and batch counters of layers that count in one version alone.
COUNTERS = (COUNTS, "total_ops", "total_params")
_TRAINING = re.compile(r"(?<![a-z])(criteri|loss|metric|optim|sched)")


def is_idle(name: str) -> bool:
    """Whether an entry is a counter or an observer's, which no prediction in float depends on.

    >>> [is_idle(f"features.0.{last}") for last in ("total_ops", "activation_post_process.min_val", "gain")]
    [True, True, False]
    """
    return name.rpartition(".")[2] in COUNTERS or is_observer(name)


def is_observer(name: str) -> bool:
    """Whether that is an entry of an observer or a fake quantiser, by the names that torch and others give these."""
    if name.endswith("_quantizer._amax"):
        return True
    if "activation_post_process" not in name and "_fake_quant" not in name:
        return False  # of a hostile name, the parts alone would take long
    return any(
        part.startswith("activation_post_process") or part.endswith(("_fake_quant", "_fake_quantize"))
        for part in name.split(".")
    )


def is_weight(tensor: Tensor) -> bool:
    """Whether it may be a weight or a statistic: numbers of a dimension, which no counter is."""
    return tensor.is_floating_point() and tensor.dim() > 0


def may_matter(name: str, tensor: Tensor, taken: str) -> bool:
    """Whether predictions may need the entry ``name`` beside the weights ``taken``, a prefix of names.

    They may need any weight, such as those of a normalisation before the network or of a head behind it, but not what
    is called a loss, a metric, an optimiser's or an average.

    >>> import torch
    >>> [may_matter(name, torch.ones(3), "net.") for name in ("norm.mean", "criterion.weight", "net_ema.norm.mean")]
    [True, False, False]
    """
    if not is_weight(tensor) or is_idle(name):
        return False
    apart = name[_shared(name, taken) :]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", apart).lower()
    return _TRAINING.search(words) is None and not is_averaged(apart)


def branch(name: str, taken: str) -> str:
    """Where ``name`` leaves the path ``taken``: what it has in common with it, and one part more.

    >>> branch("model.head.weight", "model.net.")
    'model.head'
    """
    start = _shared(name, taken)
    return name[:start] + name[start:].partition(".")[0]


def _shared(name: str, taken: str) -> int:
    """How many letters the modules have that both names lie in."""
    length = 0
    for part in taken.split(".")[:-1]:
        if not name.startswith(f"{part}.", length):
            break
        length += len(part) + 1
    return length
