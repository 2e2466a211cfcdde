"""Does re-estimating the statistics help a network that meets JPEG images? On the holdout half, against T alone.

    python -m tests.benchmarks.reestimation [--depth 20] [--images 10000] [--corruption fog --severity 5]

ResNet-20 (or --depth 56) of ../shared (or $AFTERNORM_SHARED) on the validation images. Its statistics are those it came
with, of the training images, or of the calibration half, which are also mixed with a prior; each without and with the
α that is best for them. T and α are chosen on the calibration half. With --corruption the validation images, both
halves of them, have that C-style corruption.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from calibrate import Recipe, Source, open_data, open_model, retrofit
from calibrate.data import Corrupted, split
from calibrate.engine.passes.batches import SourceBatches
from calibrate.engine.passes.prediction import predict
from calibrate.engine.passes.setting import PassForm, Setting
from calibrate.metrics import ArmScores, measure, score
from calibrate.result import silent
from calibrate.search import fit_temperature
from calibrate.stats import reestimate
from calibrate.steps import CORRUPTION_SETS, AlphaSearch, SearchAlpha

SETTING = Setting(PassForm(64, 1), torch.device("cpu"), silent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--corruption", choices=CORRUPTION_SETS["all"])
    parser.add_argument("--severity", type=int, default=5, choices=range(1, 6))
    arguments = parser.parse_args()
    shared = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
    if not shared.is_dir():
        print(f"skipped: needs the shared models and data, and {shared} is not there")
        return
    torch.set_num_threads(1)
    opened = open_model(shared / f"models/cifar10-resnet{arguments.depth}.th", f"cifar/resnet{arguments.depth}")
    data, train = (
        open_data(shared / f"data/cifar10-{name}.zip", preprocessing=opened.preprocessing)
        for name in ("val-5k", "train-10k")
    )
    if arguments.corruption:
        data = Corrupted(data, arguments.corruption, arguments.severity, 0)
    halves = split(data.labels, 0)
    some = np.sort(np.random.default_rng(0).permutation(len(train))[: arguments.images])

    def renewed(source: Source, indices: NDArray[np.int64], prior: float = 0.0) -> nn.Module:
        batches = SourceBatches(source, indices, SETTING, torch.float32)
        return reestimate(opened.model, batches, prior=prior, memory=4 << 30)

    networks: dict[str, Callable[[], nn.Module]] = {
        f"{len(some)} training images": lambda: renewed(train, some),
        "calibration half": lambda: renewed(data, halves.calibration),
        "calibration half, prior 2500": lambda: renewed(data, halves.calibration, 2500.0),
        "as it came": lambda: opened.model,
    }
    y, y_held = (torch.from_numpy(data.labels[half]) for half in (halves.calibration, halves.holdout))

    def arm(name: str, model: nn.Module) -> ArmScores:
        temperature = fit_temperature(predict(model, data, halves.calibration, SETTING, ""), y).value
        return ArmScores(
            name, False, temperature, score(predict(model, data, halves.holdout, SETTING, ""), y_held, temperature)
        )

    arms = [arm("T", opened.model)]
    print(f"ResNet-{arguments.depth} on {data.name}")
    print(f"T alone: {_told(arms[0])}, n = {len(halves.holdout)}; minus T alone:")
    for name, build in networks.items():
        model = build()
        found = retrofit(model, Recipe(steps=[SearchAlpha(curve=False)]), data=data)
        for label, tuned in ((name, model), (f"{name}, α {found.summary.last(AlphaSearch).chosen:.3f}", found.model)):
            pair = [arms[0], arm("tuned+T", tuned)]
            difference = measure(pair, [("tuned+T", "T")], resamples=2000, bins=15, seed=0).differences[0].metrics
            top1, nll = difference["top1"], difference["nll"]
            points = f"top-1 {100 * top1.value:+.2f} [{100 * top1.low:+.2f}, {100 * top1.high:+.2f}]"
            nats = f"NLL {nll.value:+.4f} [{nll.low:+.4f}, {nll.high:+.4f}]"
            print(f"  {label:40} {_told(pair[1])}; {points}, {nats}", flush=True)


def _told(arm: ArmScores) -> str:
    top1, nll = float(np.mean(arm.per_example.top1)), float(np.mean(arm.per_example.nll))
    return f"top-1 {100 * top1:.2f} %, NLL {nll:.4f}"


if __name__ == "__main__":
    main()
