"""What re-estimating statistics costs and how exact it is, beside ``update_bn`` and float32 differences of squares.

    python -m tests.benchmarks.statistics [--depth 20] [--images 2000] [--repeats 3] [--shuffled]

ResNet-20 (or --depth 56) on validation images of ../shared (or $AFTERNORM_SHARED), sorted by class
unless --shuffled. The exact answer is
the network in float64, all images its one training batch. Passes are CPU time over that of a plain pass, runs
interleaved, the fastest of each. Errors are over all channels of all layers: of log variance, and of the mean in
standard deviations. ``subtracting`` takes means of the batches' E[x] and E[x²] in float32, in training mode; so does
fvcore, which is among them where it is installed (``pip install fvcore``; nothing else here needs it).
"""

import argparse
import copy
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from calibrate.data import open_data
from calibrate.engine import open_model
from calibrate.stats import reestimate

Batches = Sequence[Tensor]


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def plain(model: nn.Module, batches: Batches) -> nn.Module:
    with torch.inference_mode():
        for batch in batches:
            model(batch)
    return model


def exact(model: nn.Module, images: Tensor) -> nn.Module:
    """The network in float64, each layer given the ÷n moments of its input as that comes by."""
    model = copy.deepcopy(model).double()

    def renew(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        values = arguments[0].transpose(0, 1).flatten(1)
        layer.running_mean.copy_(values.mean(1))
        layer.running_var.copy_((values - values.mean(1, keepdim=True)).square_().mean(1))

    for layer in norms(model):
        layer.register_forward_pre_hook(renew)
    with torch.no_grad():
        model(images.double())
    return model


def torchs(model: nn.Module, batches: Batches) -> nn.Module:
    model = copy.deepcopy(model)
    update_bn(batches, model)
    return model.eval()


def fvcores(model: nn.Module, batches: Batches) -> nn.Module:
    from fvcore.nn.precise_bn import update_bn_stats

    model = copy.deepcopy(model).train()
    update_bn_stats(model, batches, len(batches))
    return model.eval()


def subtracting(model: nn.Module, batches: Batches) -> nn.Module:
    model = copy.deepcopy(model).train()
    sums = {layer: [torch.zeros(layer.num_features), torch.zeros(layer.num_features)] for layer in norms(model)}

    def watch(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        x = arguments[0]
        sums[layer][0] += x.mean((0, 2, 3)) / len(batches)
        sums[layer][1] += x.square().mean((0, 2, 3)) / len(batches)

    for layer in norms(model):
        layer.register_forward_pre_hook(watch)
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for layer, (mean, square) in sums.items():
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(square - mean.square())
    return model.eval()


def errors(model: nn.Module, truth: nn.Module) -> tuple[float, float, float]:
    """Mean and largest |Δ log variance|, and the largest |Δ mean| in standard deviations."""
    variance, mean = [], []
    for layer, right in zip(norms(model), norms(truth), strict=True):
        variance.append(((layer.running_var.double() + 1e-12) / (right.running_var + 1e-12)).log().abs())
        mean.append((layer.running_mean.double() - right.running_mean).abs() / (right.running_var + 1e-12).sqrt())
    return float(torch.cat(variance).mean()), float(torch.cat(variance).max()), float(torch.cat(mean).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shuffled", action="store_true")
    arguments = parser.parse_args()
    shared = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
    if not shared.is_dir():
        print(f"skipped: needs the shared models and data, and {shared} is not there")
        return
    torch.set_num_threads(1)
    opened = open_model(shared / f"models/cifar10-resnet{arguments.depth}.th", f"cifar/resnet{arguments.depth}")
    source = open_data(shared / "data/cifar10-val-5k.zip", preprocessing=opened.preprocessing)
    drawn = np.random.default_rng(0).permutation(len(source))[: arguments.images]
    order = np.arange(len(drawn)) if arguments.shuffled else np.argsort(source.labels[drawn], kind="stable")
    images = torch.cat([batch.inputs for batch in source.batches(drawn, 500)])  # in ascending order of index
    images = images[torch.from_numpy(np.argsort(np.argsort(drawn))[order])]
    truth = exact(opened.model, images)

    def split(size: int, work: Callable[[nn.Module, Batches], nn.Module]) -> Callable[[], nn.Module]:
        return lambda: work(opened.model, images.split(size))

    def ours(**how: object) -> Callable[[nn.Module, Batches], nn.Module]:
        return lambda model, batches: reestimate(model, batches, memory=8 << 30, **how)

    ways = {"plain pass": split(64, plain), "in_order": split(64, ours())}
    ways["in_order, float64"] = lambda: reestimate(
        copy.deepcopy(opened.model).double(), images.double().split(64), memory=8 << 30
    )
    ways |= {f"batch {size}": split(size, ours(order="batch")) for size in (256, 64, 16, 4)}
    ways |= {f"update_bn, batch {size}": split(size, torchs) for size in (64, 4)}
    ways |= {"subtracting, batch 64": split(64, subtracting)}
    if importlib.util.find_spec("fvcore"):
        ways |= {f"fvcore, batch {size}": split(size, fvcores) for size in (64, 4)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    made: dict[str, nn.Module] = {}
    for _ in range(arguments.repeats):
        for name, way in ways.items():
            start = time.process_time()
            made[name] = way()
            seconds[name].append(time.process_time() - start)
    order_words = "shuffled" if arguments.shuffled else "sorted by class"
    print(f"ResNet-{arguments.depth}, {len(images)} images {order_words}, torch {torch.__version__}, 1 thread")
    print(f"{'':24}{'passes':>8}{'spread':>8}{'|Δ log var| mean':>18}{'largest':>10}{'|Δ mean| / sd':>15}")
    base = min(seconds["plain pass"])
    for name, times in seconds.items():
        cells = (f"{value:{width}.2g}" for value, width in zip(errors(made[name], truth), (18, 10, 15), strict=True))
        print(f"{name:24}{min(times) / base:8.2f}{(max(times) - min(times)) / base:8.2f}{''.join(cells)}")


if __name__ == "__main__":
    main()
