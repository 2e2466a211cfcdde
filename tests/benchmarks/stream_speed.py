"""How fast the methods on streams are, against plain loops of the same methods; and re-estimation, against a pass.

    python -m tests.benchmarks.stream_speed [--sizes 64 200] [--rounds 12] [--methods bn_alpha tent] [--channels-last]

ResNet-20 for CIFAR-10 of ../shared (or $AFTERNORM_SHARED; without it, fresh weights and the statistics of one batch of
noise) on noise. Both sides meet the same batches in turn, in one process, on one thread, and are timed by the CPU time
of that thread. Estimator: mean of the fastest half of the rounds; the spread is the 95 % bootstrap interval of the
ratio. Above 1, ours is quicker. That both sides give the same logits for the first batch is checked.
"""

import argparse
import copy
import ctypes
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calibrate import Adapted, open_model
from calibrate.io import build
from calibrate.stats import reestimate
from calibrate.steps import EATA, ETA, IEW, LAME, SAR, BNAlpha, Method, PredictionTimeBN, Tent
from tests.benchmarks.plain_streams import PLAIN

METHODS: tuple[Method, ...] = (
    PredictionTimeBN(),
    BNAlpha(prior=16.0),
    IEW(),
    LAME(),
    Tent(),
    ETA(entropy_share=1.0, redundancy=1.0),
    EATA(entropy_share=1.0, redundancy=1.0, fisher_images=64),
    SAR(entropy_share=1.0, reset_below=0.0),
)
#: Of a re-estimation.
IMAGES = 1600
Call = Callable[[], object]


def resnet20() -> nn.Module:
    shared = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
    checkpoint = shared / "models/cifar10-resnet20.th"
    if checkpoint.exists():
        return open_model(checkpoint, "cifar/resnet20").model
    torch.manual_seed(0)
    model = build("cifar/resnet20", {}).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model(torch.randn(64, 3, 32, 32))
    return model.eval()


def seconds(call: Call) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


def timed(calls: Sequence[Call], rounds: int) -> np.ndarray:
    """CPU seconds (rounds, calls), the calls in turn."""
    for call in calls:
        call()
    return np.array([[seconds(call) for call in calls] for _ in range(rounds)])


def fastest_half(times: np.ndarray) -> np.ndarray:
    return np.sort(times, axis=-2)[..., : max(times.shape[-2] // 2, 1), :].mean(-2)


def ratio(times: np.ndarray, over: int, under: int) -> str:
    """The time of one call over that of another, with its interval."""
    draws = times[np.random.default_rng(0).integers(len(times), size=(1000, len(times)))]
    mean, many = fastest_half(times), fastest_half(draws)
    low, high = np.percentile(many[:, over] / many[:, under], [2.5, 97.5])
    return f"{mean[over] / mean[under]:5.2f} [{low:.2f}, {high:.2f}]"


def stream(step: Callable[[Tensor], Tensor], batches: Sequence[Tensor]) -> Call:
    position = 0

    def call() -> None:
        nonlocal position
        step(batches[position % len(batches)])
        position += 1

    return call


def compare_streams(model: nn.Module, methods: Sequence[Method], batches: Sequence[Tensor], rounds: int) -> None:
    for method in methods:
        known = [batches[-1][:64]]
        ours = Adapted(model, method, in_distribution=known)
        plain = PLAIN[type(method)](copy.deepcopy(model), method, known)
        one, other = ours(batches[0]).softmax(1), plain(batches[0]).softmax(1)
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        ours.reset()
        times = timed([stream(ours, batches), stream(plain, batches)], rounds)
        asked = f"; the source was asked {ours.checks} times" if ours.checks else ""
        print(
            f"  {method.kind:20} {ratio(times, 1, 0)}, {1e3 * fastest_half(times)[0]:.0f} ms a batch{asked}", flush=True
        )


def compare_reestimation(model: nn.Module, batches: Sequence[Tensor], rounds: int) -> None:
    """The order batch and torch's ``update_bn``, in passes of the network."""
    averaged = copy.deepcopy(model)

    @torch.inference_mode()
    def one_pass() -> None:
        for x in batches:
            model(x)

    calls: list[Call] = [
        lambda: reestimate(model, batches, order="batch"),
        lambda: torch.optim.swa_utils.update_bn(batches, averaged),
        one_pass,
    ]
    times = timed(calls, rounds)
    print(f"  reestimate, batch: {ratio(times, 0, 2)} passes; update_bn: {ratio(times, 1, 2)} passes", flush=True)


def keep_pages() -> None:
    """Let glibc keep freed memory: else which maps cost page faults is a matter of luck, to either side."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            libc.mallopt(option, 1 << 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 200])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--methods", nargs="+", default=[*(method.kind for method in METHODS), "reestimate"])
    parser.add_argument("--channels-last", action="store_true", help="give network and images in this layout")
    parser.add_argument("--page-faults", action="store_true", help="leave the allocator as it is")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.page_faults:
        keep_pages()
    model = resnet20()
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    for size in arguments.sizes:
        torch.manual_seed(0)
        batches = [torch.randn(size, 3, 32, 32).to(memory_format=layout) for _ in range(4)]
        print(f"batches of {size}{', channels_last' if arguments.channels_last else ''}: images/s, ours over plain")
        chosen = [method for method in METHODS if method.kind in arguments.methods]
        compare_streams(model, chosen, batches, arguments.rounds)
        if "reestimate" in arguments.methods:
            several = batches * (IMAGES // (4 * size))
            compare_reestimation(model, several, max(arguments.rounds // 2, 1))


if __name__ == "__main__":
    main()
