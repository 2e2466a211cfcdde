"""How many rounds layers called several times take, beside plain iteration from the same start.

    python -m tests.benchmarks.repeated [--seeds 5] [--siamese]

Networks of random weights (``tests/builders/repeating.py``) on 45 maps; with --siamese the ResNet-20 of ../shared (or
$AFTERNORM_SHARED), called with 256 validation images and with the same mirrored, darkened and noisy. Left is the
largest distance of a statistic from its inputs', in standard deviations and log variance. Plain iteration stores what
it found in each of 60 rounds; a dash is where it never comes within the same tolerance.
"""

import argparse
import copy
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calibrate.data import open_data
from calibrate.engine import open_model
from calibrate.stats import pooled_inputs, reestimate_
from calibrate.stats.repeated import CLOSE, ROUNDS, distance
from calibrate.stats.store import store_
from calibrate.surgery import find_sites
from tests.builders.batches import batches, inputs
from tests.builders.networks import Tied, warmed_up
from tests.builders.repeating import Amplifying, Interleaved, Recurrent, Siamese, TwoDepths

RANDOM: Sequence[Callable[[], nn.Module]] = (Tied, TwoDepths, Siamese, Recurrent, Interleaved, Amplifying)
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "mirrored": lambda x: x.flip(3),
    "darkened": lambda x: 0.5 * x - 0.3,
    "noisy": lambda x: x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)),
}


class Twice(nn.Module):
    """A network called with its input, and with another made of it."""

    def __init__(self, network: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.change = network, change

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x) - self.network(self.change(x))


def plain(model: nn.Module, parts: Sequence[Tensor]) -> int | None:
    """Rounds of plain iteration of all layers at once, begun where each call goes by its own statistics."""
    layers = [site.module for site in find_sites(model)]
    hooks = [layer.register_forward_pre_hook(lambda *given: _own_(*given)) for layer in layers]
    with pooled_inputs(layers) as seen, torch.no_grad():
        model(torch.cat(list(parts)))
    for hook in hooks:
        hook.remove()
    for done in range(1, ROUNDS + 1):
        for layer, moments in seen.items():
            store_(layer, moments.mean, moments.variance)
        with pooled_inputs(layers) as seen, torch.no_grad():
            for part in parts:
                model(part)
        if max(max(distance(layer, (found.mean, found.variance))) for layer, found in seen.items()) <= CLOSE:
            return done
    return None


def _own_(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    values = arguments[0].transpose(0, 1).flatten(1)
    store_(layer, values.mean(1), values.var(1, correction=0))


def compare(name: str, model: nn.Module, parts: Sequence[Tensor]) -> None:
    iterated = plain(copy.deepcopy(model), parts)
    found = reestimate_(model, parts).repeated.values()
    calls = "–".join(map(str, sorted({repeated.calls for repeated in found})))
    rounds, left = (max(getattr(one, what) for one in found) for what in ("rounds", "distance"))
    print(f"{name:28}{len(found):7}{calls:>8}{rounds:8}{iterated or '–':>8}{left:12.1e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--siamese", action="store_true")
    arguments = parser.parse_args()
    print(f"{'network':28}{'layers':>7}{'calls':>8}{'rounds':>8}{'plain':>8}{'left':>12}")
    for build in RANDOM:
        for seed in range(arguments.seeds):
            compare(f"{build.__name__}, seed {seed}", warmed_up(build(), seed), batches(inputs().float()))
    if arguments.siamese:
        shared = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
        opened = open_model(shared / "models" / "cifar10-resnet20.th", "cifar/resnet20")
        source = open_data(shared / "data" / "cifar10-val-5k.zip", preprocessing=opened.preprocessing)
        images = [batch.inputs for batch in source.batches(np.arange(0, 5000, 5000 // 256)[:256], 64)]
        for name, change in CHANGES.items():
            compare(f"ResNet-20, {name}", Twice(copy.deepcopy(opened.model), change), images)


if __name__ == "__main__":
    main()
