"""Does the search for λ keep to its memory, however many examples there are?

    python -m tests.benchmarks.statistics_memory [--images 10000] [--memory 512] [--side 224]

A small network, whose activations of half of 10,000 generated images of 224 × 224 pixels have 32 GB, is searched with
so many MiB for activations. Printed are how many examples were searched and estimated, the chosen λ, seconds, and the
peak of the resident memory before the search and after it.
"""

import argparse
import resource
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from calibrate import Recipe, retrofit
from calibrate.engine import set_up_process
from calibrate.steps import SearchStatistics, StatisticsSearch

CLASSES = 4


class Generated:
    """Images of noise whose brightness tells the class, each made anew from its number."""

    def __init__(self, images: int, side: int) -> None:
        self.images, self.side = images, side

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        if index >= self.images:
            raise IndexError(index)
        random, label = np.random.default_rng(index), index % CLASSES
        noise = random.integers(0, 60, (self.side, self.side, 3), dtype=np.uint8)
        return noise + np.uint8(40 * label), label


def network() -> nn.Module:
    """Two normalised layers at the full size, which hold 3.2 MB of each image of 224 × 224 pixels."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, CLASSES),
    ).eval()


def peak_mib() -> float:
    """The largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--memory", type=int, default=512, help="MiB for activations while searching")
    parser.add_argument("--side", type=int, default=224)
    arguments = parser.parse_args()
    set_up_process()
    model = network()
    preprocessing = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    retrofit(model, ["measure"], data=Generated(256, arguments.side), preprocessing=preprocessing)
    before, start = peak_mib(), time.perf_counter()
    step = SearchStatistics(memory_mib=arguments.memory, margin=0)
    outcome = retrofit(
        model, Recipe(steps=[step]), data=Generated(arguments.images, arguments.side), preprocessing=preprocessing
    )
    (found,) = outcome.summary.of(StatisticsSearch)
    seconds = time.perf_counter() - start
    print(
        f"{arguments.images} images: searched on {found.searched_images}, estimated on {found.images}, "
        f"λ = {found.chosen}; {seconds:.0f} s; peak {before:.0f} MiB before, {peak_mib():.0f} MiB after "
        f"({arguments.memory} MiB for activations)"
    )


if __name__ == "__main__":
    main()
