"""The MLP of the experiment with four kinds of normalisation, from the same initial weights."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from calibrate.surgery import batch_norms, every_odd, gnbn, initialize_, place_

DEPTH, WIDTH, PIXELS, CLASSES = 20, 128, 64, 10


def without_(model: nn.Sequential, names: Iterable[str]) -> nn.Module:
    """The network with nothing where the layers ``names`` were."""
    for name in names:
        model.set_submodule(name, nn.Identity())
    return model


#: What becomes of the network that has BN after each linear layer. "half BN" is the control of GNBN: the same BNs, and
#: no GroupNorm between them.
KINDS: dict[str, Callable[[nn.Sequential], nn.Module]] = {
    "BN": lambda model: model,
    "GNBN": lambda model: place_(model, gnbn(model, num_groups=4)),
    "half BN": lambda model: without_(model, every_odd(model)),
    "original": lambda model: without_(model, batch_norms(model)),
}


def network(kind: str, initial: str, seed: int) -> nn.Module:
    """20 times linear (128 units), normalisation, ReLU, and a linear classifier.

    The ``initial`` weights are normal with variance 2/fan-in ("fan-in"), or as torch draws them ("torch"); they depend
    on the seed alone.
    """
    torch.manual_seed(seed)
    blocks = (
        nn.Sequential(nn.Linear(WIDTH if depth else PIXELS, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU())
        for depth in range(DEPTH)
    )
    model = nn.Sequential(*blocks, nn.Linear(WIDTH, CLASSES))
    if initial == "fan-in":
        initialize_(model, gamma=1.0)
    return KINDS[kind](model)


def batch_norms_by_depth(model: nn.Module) -> dict[int, nn.BatchNorm1d]:
    """The BN of each of the layers 0 … 19 that has one."""
    norms = (model.get_submodule(f"{depth}.1") for depth in range(DEPTH))
    return {depth: norm for depth, norm in enumerate(norms) if isinstance(norm, nn.BatchNorm1d)}
