"""What test-time adaptation costs: images/s of each method relative to the original network's.

    python -m tests.benchmarks.adaptation [--rounds 12] [--batches 64 200]

ResNet-20 of ../shared (or $AFTERNORM_SHARED) on its validation images, else with random weights on noise. In each round
all methods take the same batch in turn, on one thread; estimator: mean of the fastest half of the rounds, CPU time of
that thread. Passes are those counted for a batch, forward + backward. ETA, EATA and SAR spend less on batches of which
they keep nothing.
"""

import argparse
import dataclasses
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calibrate import open_data, open_model
from calibrate.adapt import ADAPTERS, Adapted
from calibrate.io.cifar_resnets import CifarResNet
from calibrate.steps import BNAlpha

CLASSES = 10


def network(shared: Path, count: int) -> tuple[nn.Module, Tensor]:
    """The network, and ``count`` images for it."""
    if not shared.is_dir():
        print(f"{shared} is not there: random weights, noise\n")
        torch.manual_seed(0)
        return CifarResNet(3, CLASSES, 3).eval(), torch.randn(count, 3, 32, 32)
    opened = open_model(shared / "models/cifar10-resnet20.th", "cifar/resnet20")
    data = open_data(shared / "data/cifar10-val-5k.zip", preprocessing=opened.preprocessing)
    drawn = np.sort(np.random.default_rng(0).permutation(len(data))[:count])
    return opened.model, torch.cat([batch.inputs for batch in data.batches(drawn, 256)])


def seconds(step: Callable[[Tensor], Tensor], x: Tensor) -> float:
    start = time.thread_time()
    step(x)
    return time.thread_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 200])
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, images = network(Path(os.environ.get("AFTERNORM_SHARED", "../shared")), 1000)
    images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    in_distribution = images.split(64)
    print(f"{platform.machine()}, torch {torch.__version__}, one thread, {given.rounds} rounds\n")
    print("| batch | method | images/s | of plain | passes a batch |\n|---|---|---|---|---|")
    for size in given.batches:
        adapters = {
            kind.model_fields["kind"].default: Adapted(
                model, BNAlpha(prior=16) if kind is BNAlpha else kind(), in_distribution=in_distribution
            )
            for kind in ADAPTERS
        }

        def plain(x: Tensor) -> Tensor:
            with torch.inference_mode():
                return model(x)

        steps = {"original": plain, **{name: adapted.step for name, adapted in adapters.items()}}
        for step in steps.values():
            step(images[:size])
        before = {name: dataclasses.replace(adapted.tally) for name, adapted in adapters.items()}
        batches = (images.split(size)[: len(images) // size] * given.rounds)[: given.rounds]
        times = np.sort([[seconds(step, x) for step in steps.values()] for x in batches], axis=0)
        best = times[: -(-given.rounds // 2)].mean(0)
        for name, mean in zip(steps, best, strict=True):
            spent = "1 + 0"
            if name in before:
                tally, start = adapters[name].tally, before[name]
                forward, backward = tally.forward - start.forward, tally.backward - start.backward
                spent = f"{forward / given.rounds:.3g} + {backward / given.rounds:.3g}"
            print(f"| {size} | {name} | {size / mean:.0f} | {best[0] / mean:.2f} | {spent} |", flush=True)


if __name__ == "__main__":
    main()
