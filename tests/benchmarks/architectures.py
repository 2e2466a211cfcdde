"""Published architectures through inspect, calibrate and ONNX export: `python -m tests.benchmarks.architectures`.

Prints a markdown table, one line an architecture; names as arguments run those only.

Weights are random, so the networks are made fit to compare in float32, as trained ones are. Each layer has the
statistics of its own activations, γ in [0.5, 1.5] and β in [0, 1]. A fresh network, whose β is 0, cuts half of every
normalised map in each ReLU: at a depth of 50 that is chaotic, and its rounding errors grow to 4e-5 of the largest logit
(torch's float32 against its float64, ResNet-50, 64 pixels, with or without α). With these β it is 3e-6.
"""

import argparse
import gc
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from calibrate import Outputs, Recipe, deliver, open_model, retrofit
from calibrate.engine import inspect_model
from calibrate.errors import AfternormError
from calibrate.io import build
from calibrate.steps import SetAlpha

#: Names, and the side of the images where the network takes smaller ones than its own.
ARCHITECTURES = {
    "torchvision/resnet18": 64,
    "torchvision/resnet50": 64,
    "torchvision/resnext50_32x4d": 64,
    "torchvision/vgg11_bn": 64,
    "torchvision/densenet121": 64,
    "torchvision/mobilenet_v2": 64,
    "torchvision/mobilenet_v3_small": 64,
    "torchvision/efficientnet_b0": 64,
    "torchvision/shufflenet_v2_x1_0": 64,
    "torchvision/regnet_y_400mf": 64,
    "torchvision/googlenet": 96,
    "torchvision/mnasnet1_0": 64,
    "timm/efficientnet_lite0": 64,
    "timm/mobilenetv3_small_100": 64,
    "timm/regnety_002": 64,
    "timm/dla34": 64,
    "timm/cspresnet50": 64,
    "timm/repvgg_a0": 64,
}
ARGUMENTS = {"torchvision/googlenet": {"aux_logits": False}}
RECIPE = Recipe(steps=[SetAlpha(alpha=0.1)])


def live_in_(model: nn.Module, images: Tensor) -> None:
    """Give every normalisation layer parameters that differ, and the statistics that it sees on ``images``."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, 0, 1, generator=generator)
            module.momentum = None  # the mean over all passes: of one pass, its statistics
            module.train()
    with torch.no_grad():
        model(images)
    model.eval()


def line(name: str, folder: Path) -> str:
    """One architecture, all the way."""
    side = ARCHITECTURES[name]
    seen = torch.randn(32, 3, side, side, generator=torch.Generator().manual_seed(1))
    images = seen[:8]
    args = ARGUMENTS.get(name, {})
    torch.manual_seed(0)
    fresh = build(name, args)
    live_in_(fresh, seen)
    safetensors.torch.save_file(
        {k: v.contiguous() for k, v in fresh.state_dict().items()}, folder / "plain.safetensors"
    )
    del fresh
    opened = open_model(folder / "plain.safetensors", name, args)
    sites = inspect_model(opened).sites
    data = [(image, number % 2) for number, image in enumerate(images)]
    outcome = retrofit(opened.model, RECIPE, data=data, architecture=name, architecture_args=args, batch_size=4)
    outputs = Outputs(latency_runs=0)
    delivery = deliver(outcome, opened.model, folder, outputs)
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(site.kind for site in sites).items())
    errors = {
        p.batch_size: p.relative_error for a in delivery.summary.artifacts if a.format == "onnx" for p in a.parity
    }
    parity = f"{errors[1]:.1e} / {errors[3]:.1e}" if errors else delivery.problems[0][:200]
    again = open_model(folder / "tuned.safetensors")
    with torch.inference_mode():
        assert torch.equal(again.model(images[:2]), outcome.model(images[:2]))
    return f"| {name} | {side} | {len(sites)} | {kinds} | {sum(bool(s.note) for s in sites)} | {parity} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help="one of the table's architectures; default: all")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in ARCHITECTURES]:
        parser.error(f"{', '.join(unknown)} is not in the table; choose from {', '.join(ARCHITECTURES)}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    sys.stdout.write("| architecture | side | sites | kinds | skipped | ONNX error at batch 1 / 3 | seconds |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    for name in names or list(ARCHITECTURES):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = line(name, Path(folder))
            except AfternormError as error:
                row = f"| {name} | {ARCHITECTURES[name]} | | | | {error} |"
        sys.stdout.write(f"{row} {time.perf_counter() - start:.0f} |\n")
        sys.stdout.flush()
        gc.collect()


if __name__ == "__main__":
    main()
