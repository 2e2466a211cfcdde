"""What finding α costs and how good it is: passes, regret and the curve's error against a dense grid of true passes.

    python tests/benchmarks/alpha_search.py [--seeds 20] [--cache /tmp/alpha_tables]

The demo's network answers the held-out digits, clean and scanned; every evaluation is true. ResNet-20 on the 2,500
calibration images of ../shared (or $AFTERNORM_SHARED) is evaluated once on the grid, some minutes; in between its
logits are a cubic spline in √α per example, and a seed draws 2,000, or 500, of the images.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

from calibrate.data import open_data, split
from calibrate.data.preprocess import prepare_pixels
from calibrate.demo.digits import PREPROCESSING, held_out_digits, scan
from calibrate.demo.inputs import ARCHITECTURE, ARCHITECTURE_ARGS, CHECKPOINT
from calibrate.engine.opening.checkpoint import open_model
from calibrate.search import fit_temperature, search_alpha
from calibrate.steps import SearchAlpha
from calibrate.surgery import find_sites, weigh_examples_

MAXIMUM = 0.5
GRID = MAXIMUM * np.linspace(0, 1, 49) ** 2

At = Callable[[float, Tensor], Tensor]


def weighed(model: nn.Module, x: Tensor) -> At:
    """Logits of the images ``x`` at α, by the network itself."""
    model = weigh_examples_(model, find_sites(model), 0.0)
    layers = [site.module for site in find_sites(model)]

    def at(alpha: float, rows: Tensor) -> Tensor:
        for layer in layers:
            layer.alpha = alpha  # type: ignore[assignment]
        with torch.inference_mode():
            return torch.cat([model(part) for part in x[rows].split(128)])

    return at


def splined(table: Tensor) -> At:
    """Logits at α in between the grid's."""
    spline = CubicSpline(np.sqrt(GRID), table.double().numpy(), axis=0)
    return lambda alpha, rows: torch.from_numpy(spline(alpha**0.5)[rows.numpy()])


def nll(logits: Tensor, labels: Tensor) -> float:
    return float(fit_temperature(logits, labels).nll.mean())


def simulate(name: str, at: At, table: Tensor, labels: Tensor, subsets: list[Tensor]) -> None:
    """Search on each subset of the examples, and print how it went."""
    rows = []
    for seed, subset in enumerate(subsets):
        y = labels[subset]
        truth = {float(alpha): nll(logits, y) for alpha, logits in zip(GRID, table[:, subset], strict=True)}

        def logits_at(alpha: float, chosen: Tensor, subset: Tensor = subset) -> Tensor:
            return at(alpha, subset[chosen])

        alone = search_alpha(logits_at, y, SearchAlpha(maximum=MAXIMUM, curve=False), seed=seed).search
        whole = search_alpha(logits_at, y, SearchAlpha(maximum=MAXIMUM), seed=seed).search
        found, also = (min(point.nll_after_temperature for point in search.points) for search in (alone, whole))
        everyone = torch.arange(len(subset))
        off = [abs(point.nll_after_temperature - nll(logits_at(point.alpha, everyone), y)) for point in whole.curve]
        rows.append(
            (
                alone.passes,
                max(0.0, found - min(truth.values())),
                max(0.0, also - min(truth.values())),
                whole.curve_passes,
                whole.curve_error,
                max(off, default=np.nan),
                whole.curve[-1].alpha if whole.curve else np.nan,
                alone.best_by_nll,
            )
        )
    result = np.array(rows, dtype=float)
    mean, worst = np.nanmean(result, 0), np.nanmax(result, 0)
    print(
        f"{name}, n = {len(subsets[0])}, {len(subsets)} seeds: passes {mean[0]:.2f} (most {worst[0]:.2f}), "
        f"regret {mean[1]:.5f} (worst {worst[1]:.5f}), with the curve's passes {mean[2]:.5f}; curve {mean[3]:.1f} "
        f"passes to α = {mean[6]:.2f}, error as checked {mean[4]:.5f} (worst {worst[4]:.5f}), "
        f"true on all points {mean[5]:.5f} (worst {worst[5]:.5f}), {np.isnan(result[:, 6]).sum()} not shown; "
        f"α {result[:, 7].min():.3f} to {result[:, 7].max():.3f}",
        flush=True,
    )


def tabled(at: At, n: int, file: Path | None = None) -> Tensor:
    """The logits (49, n, K) on the grid, kept in ``file``."""
    if file is not None and file.exists():
        kept: Tensor = torch.load(file)
        return kept
    table = torch.stack([at(float(alpha), torch.arange(n)) for alpha in GRID])
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(table, file)
    return table


def digits(seeds: int) -> None:
    images, classes = held_out_digits()
    for name, shown in (("digits, clean", images), ("digits, scanned", scan(images, 0))):
        x = prepare_pixels(torch.from_numpy(shown)[:, None], PREPROCESSING)
        at = weighed(open_model(CHECKPOINT, ARCHITECTURE, ARCHITECTURE_ARGS).model, x)
        halves = [torch.from_numpy(split(classes, seed).calibration) for seed in range(seeds)]
        simulate(name, at, tabled(at, len(x)), torch.from_numpy(classes), halves)


def cifar(shared: Path, cache: Path, seeds: int) -> None:
    opened = open_model(shared / "models/cifar10-resnet20.th", "cifar/resnet20")
    source = open_data(shared / "data/cifar10-val-5k.zip", preprocessing=opened.preprocessing)
    half = split(source.labels, 0).calibration
    labels = torch.from_numpy(source.labels[half])
    x = torch.cat([batch.inputs for batch in source.batches(half, 256)])
    table = tabled(weighed(opened.model, x), len(x), cache / "cifar10-resnet20.pt")
    for n in (2000, 500):
        subsets = [
            torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:n].sort().values
            for seed in range(seeds)
        ]
        simulate("CIFAR ResNet-20", splined(table), table, labels, subsets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "alpha_tables")
    given = parser.parse_args()
    torch.set_num_threads(1)
    digits(given.seeds)
    shared = Path(os.environ.get("AFTERNORM_SHARED", "../shared"))
    if shared.exists():
        cifar(shared, given.cache, given.seeds)
    else:
        print(f"{shared} is not there: no CIFAR")


if __name__ == "__main__":
    main()
