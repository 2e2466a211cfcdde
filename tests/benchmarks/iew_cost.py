"""What weighing examples costs at inference, in torch and in ONNX Runtime.

`python -m tests.benchmarks.iew_cost [--quick]` prints a markdown table of ratios: in torch to the network with plain
BatchNorm, in ONNX Runtime to the same network, which has its BatchNorm folded into the convolutions there. All the
networks of a row run in turn, on one thread, and are timed by the CPU time of that thread: a busy machine moves these
ratios less than the wall clock's. Estimator: mean of the fastest half of the rounds; the spread is the 95 % bootstrap
interval of the ratio.
Weights are random (ResNet-50 begins as the identity, lest it multiply rounding errors), running statistics come from
one batch: neither changes the cost.
"""

import argparse
import copy
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from calibrate.export import to_onnx
from calibrate.export.runtime import session
from calibrate.nn import ExampleWeighedBatchNorm
from calibrate.surgery import find_sites, for_inference, select, weigh_examples_

ALPHA = 0.1
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-18": torchvision.models.resnet18,
    "ResNet-50": lambda: torchvision.models.resnet50(zero_init_residual=True),
    "MobileNetV2": torchvision.models.mobilenet_v2,
    "EfficientNet-lite0": lambda: EfficientNet.from_name("efficientnet-lite0"),
}
Call = Callable[[], object]


def warmed_up(build: Callable[[], nn.Module]) -> nn.Module:
    """A network whose running statistics are those of one batch of noise."""
    torch.manual_seed(0)
    model = build().train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    with torch.no_grad():
        model(torch.randn(8, 3, 96, 96))
    return model.eval()


def weighed(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model)
    model = weigh_examples_(model, select(find_sites(model), ("*",)), ALPHA)
    assert any(isinstance(module, ExampleWeighedBatchNorm) for module in model.modules())
    return model


def in_torch(model: nn.Module, x: Tensor) -> Call:
    return lambda: model(x)


def in_runtime(graph: Any, x: Tensor) -> Call:
    runtime, feed = session(graph, 1), {"input": x.numpy()}
    return lambda: runtime.run(None, feed)


def seconds(call: Call) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


def ratios(calls: list[Call], rounds: int) -> list[str]:
    """The first call's time in ms; the ratios to it of the others', with their intervals."""
    for call in calls * 2:
        call()
    times = np.array([[seconds(call) for call in calls] for _ in range(rounds)])

    def fastest_half(rows: Any) -> Any:
        means = np.sort(rows, axis=0)[: (len(rows) + 1) // 2].mean(axis=0)
        return means, means[1:] / means[0]

    picks = np.random.default_rng(0).integers(0, rounds, (500, rounds))
    bounds = np.percentile([fastest_half(times[pick])[1] for pick in picks], [2.5, 97.5], axis=0)
    means, best = fastest_half(times)
    return [f"{1000 * means[0]:.1f} ms"] + [
        f"{ratio:.2f} ({low:.2f} to {high:.2f})" for ratio, low, high in zip(best, *bounds, strict=True)
    ]


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
    ]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, batch 1 only, two networks")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    names = ("ResNet-18", "EfficientNet-lite0") if quick else tuple(NETWORKS)
    print(f"## Cost of weighing examples, alpha {ALPHA}: ratio (95 % interval)\n")
    print(f"{processor()}; Python {platform.python_version()}, torch {torch.__version__}, ", end="")
    print(f"onnxruntime {onnxruntime.__version__}; 1 thread; 3x224x224; CPU time.\n")
    print("| network | batch | torch, plain | folded | weighed | weighed, folded | ONNX, plain | weighed |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        plain, example = warmed_up(NETWORKS[name]), torch.randn(2, 3, 224, 224)
        tuned = weighed(plain)
        networks = [plain, for_inference(plain, example), tuned, for_inference(tuned, example)]
        assert not any(isinstance(module, ExampleWeighedBatchNorm) for module in networks[3].modules())
        graphs = [to_onnx(model, example, {}) for model in (plain, tuned)]
        for batch in (1,) if quick else (1, 8):
            x = torch.randn(batch, 3, 224, 224)
            rounds = (40 if batch == 1 else 10) // (4 if quick else 1)
            with torch.inference_mode():
                eager = ratios([in_torch(model, x) for model in networks], rounds)
            served = ratios([in_runtime(graph, x) for graph in graphs], rounds) if batch == 1 else ["", ""]
            print(f"| {name} | {batch} | {' | '.join(eager + served)} |", flush=True)


if __name__ == "__main__":
    main()
