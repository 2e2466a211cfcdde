"""Six networks trained on CIFAR images that were prepared oddly, and one on digits: minutes each on one thread.

    python -m tests.benchmarks.preparations.training --cache FOLDER [name ...]

Weights that the folder already has are kept. Top-1 is told on 2,000 validation images.
"""

import argparse
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from calibrate import Preprocessing, Source, open_data
from calibrate.demo.digits import held_out_digits, training_digits
from calibrate.generators import seeded
from calibrate.io import build
from tests.benchmarks.preparations.preparation import CAFFE, CLIP, IMAGENET, Preparation

SEED = 0
BATCH_SIZE = 64
SHARED = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[4] / "shared"))


@dataclass(frozen=True, slots=True)
class Trained:
    """A network to train: its architecture, its preparation, the side that its images are enlarged to, and how long."""

    architecture: str
    preparation: Preparation
    side: int = 64
    epochs: int = 12
    rate: float = 0.1
    args: Mapping[str, Any] = field(default_factory=lambda: {"num_classes": 10})
    digits: bool = False


TRAINED = {
    "resnet18, Caffe's BGR": Trained("torchvision/resnet18", CAFFE, side=32, epochs=6),
    "mobilenet_v3_small, 0–255": Trained(
        "torchvision/mobilenet_v3_small", Preparation((0.0,) * 3, (1 / 255,) * 3), epochs=14
    ),
    "shufflenet_v2_x0_5, inverted": Trained(
        "torchvision/shufflenet_v2_x0_5", Preparation((0.0,) * 3, (1.0,) * 3, inverted=True), epochs=20
    ),
    "resnet10t, ImageNet's of RGB on BGR": Trained(
        "timm/resnet10t", Preparation(*IMAGENET, bgr=True), side=32, epochs=10
    ),
    "regnetx_002, mean .3, std .1": Trained("timm/regnetx_002", Preparation((0.3,) * 3, (0.1,) * 3), epochs=10),
    "mobilenetv3_small_050, CLIP's": Trained("timm/mobilenetv3_small_050", Preparation(*CLIP), epochs=20),
    "resnet10t, digits inverted": Trained(
        "timm/resnet10t",
        Preparation((0.5,), (0.5,), inverted=True),
        side=32,
        epochs=6,
        args={"num_classes": 10, "in_chans": 1},
        digits=True,
    ),
}


def pixels(source: Source) -> tuple[Tensor, Tensor]:
    """All images of a source as uint8 (N, C, H, W), and their labels (N,)."""
    assert source.labels is not None
    assert source.preprocessing is not None
    mean, std = (torch.tensor(v)[:, None, None] for v in (source.preprocessing.mean, source.preprocessing.std))
    batches = source.batches(np.arange(len(source)), 250)
    images = torch.cat([((batch.inputs * std + mean) * 255).round().to(torch.uint8) for batch in batches])
    return images, torch.from_numpy(source.labels.copy())


def cifar(name: str) -> tuple[Tensor, Tensor]:
    """The images ``train-10k`` or ``val-5k`` of ../shared, 32 × 32."""
    return pixels(open_data(SHARED / f"data/cifar10-{name}.zip", preprocessing=Preprocessing(resize=32, crop=32)))


def digits(*, training: bool) -> tuple[Tensor, Tensor]:
    """Scikit-learn's digits of one half, (N, 1, 8, 8)."""
    images, labels = training_digits() if training else held_out_digits()
    return torch.from_numpy(images)[:, None], torch.from_numpy(labels)


def enlarged(images: Tensor, side: int) -> Tensor:
    """uint8 images (N, C, H, W) as uint8 of that side, bilinear."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images.float(), size=(side, side), mode="bilinear").round().to(torch.uint8)


def train(trained: Trained, images: Tensor, labels: Tensor) -> nn.Module:
    """Train on images shifted by up to an eighth of their side, and photographs mirrored, with a one-cycle rate."""
    random = torch.Generator().manual_seed(SEED)
    with seeded(SEED):
        model = build(trained.architecture, trained.args).train().to(memory_format=torch.channels_last)
    batches = len(images) // BATCH_SIZE
    optimizer = torch.optim.SGD(model.parameters(), trained.rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, trained.rate, total_steps=trained.epochs * batches)
    for epoch in range(trained.epochs):
        begin, total = time.perf_counter(), 0.0
        order = torch.randperm(len(images), generator=random)[: batches * BATCH_SIZE]
        for rows in order.view(batches, BATCH_SIZE):
            batch = enlarged(_varied(images[rows], random, mirrored=not trained.digits), trained.side)
            inputs = trained.preparation(batch).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(inputs), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"  epoch {epoch + 1}: loss {total / batches:.3f}, {time.perf_counter() - begin:.0f} s", flush=True)
    return model.eval()


def _varied(images: Tensor, random: torch.Generator, *, mirrored: bool) -> Tensor:
    count, _, side, _ = images.shape
    reach = side // 8
    padded = F.pad(images.float(), (reach,) * 4, mode="reflect").to(torch.uint8)
    top, left = torch.randint(2 * reach + 1, (2, count, 1), generator=random)
    rows, columns = top + torch.arange(side), left + torch.arange(side)
    if mirrored:
        flip = torch.rand(count, 1, generator=random) < 0.5
        columns = torch.where(flip, columns.flip(1), columns)
    return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def ensure_trained(name: str, cache: Path) -> Path:
    """The weights of ``name`` in ``cache``, trained now where they are missing."""
    trained = TRAINED[name]
    path = cache / f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}.safetensors"
    if path.exists():
        return path
    print(f"{name}: training", flush=True)
    begin = time.perf_counter()
    model = train(trained, *(digits(training=True) if trained.digits else cifar("train-10k")))
    images, labels = digits(training=False) if trained.digits else cifar("val-5k")
    top1 = accuracy(model, trained.preparation, enlarged(images[::2][:2000], trained.side), labels[::2][:2000])
    seconds = time.perf_counter() - begin
    print(f"{name}: top-1 {100 * top1:.1f} %, {seconds:.0f} s", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    told = {"architecture": trained.architecture, "top1": f"{top1:.4f}", "args": json.dumps(dict(trained.args))}
    unfinished = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, unfinished, told)
    unfinished.rename(path)
    return path


def accuracy(model: nn.Module, preparation: Preparation, images: Tensor, labels: Tensor) -> float:
    """The share of right predictions."""
    with torch.inference_mode():
        right = [
            (model(preparation(x)).argmax(1) == y) for x, y in zip(images.split(250), labels.split(250), strict=True)
        ]
    return float(torch.cat(right).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help="networks of the table; default: all")
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.names or TRAINED:
        ensure_trained(name, arguments.cache)


if __name__ == "__main__":
    main()
