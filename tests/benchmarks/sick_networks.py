"""Are sick statistics named, and does the recipe `repair` cure them, by Python, the command line and REST?

    python -m tests.benchmarks.sick_networks [--cache FOLDER] [--rest]

Three networks: CIFAR ResNet-20 on the 5,000 JPEG images of ../shared (or $AFTERNORM_SHARED); torchvision's MobileNetV2,
trained here for a few minutes on the demo's digits at 32 × 32; and a network of sequences (N, C, L), trained here on
the rows of the digits. Into each, every kind of sickness is planted; printed are what was found, and the top-1 on the
held-out half of the healthy, the sick and the repaired network.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from calibrate import Preprocessing, Summary, open_model, retrofit
from calibrate.data import prepare_pixels
from calibrate.demo.digits import held_out_digits, training_digits
from calibrate.io import build
from service.client import Client
from tests.service.live import served

SHARED = Path(os.environ.get("AFTERNORM_SHARED", "../shared"))
CACHE = Path(tempfile.gettempdir()) / "afternorm-sick-networks"
LARGE = Preprocessing(resize=32, crop=32, channels=1, mean=(0.304,), std=(0.375,))
State = dict[str, Tensor]
#: Points of top-1 that a cured network may be below the healthy one; or one example, where that is more.
TOLERANCE = 0.2


def sequences() -> nn.Module:
    """A network of sequences (N, 8, 8): the rows of a digit are its channels."""
    return nn.Sequential(
        nn.Conv1d(8, 48, 3, padding=1), nn.BatchNorm1d(48), nn.ReLU(),
        nn.Conv1d(48, 48, 3, padding=1), nn.BatchNorm1d(48), nn.ReLU(),
        nn.Conv1d(48, 96, 3, stride=2, padding=1), nn.BatchNorm1d(96), nn.ReLU(),
        nn.Flatten(), nn.Linear(96 * 4, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A network with its data, and what each door is given to open them."""

    name: str
    checkpoint: Path
    architecture: str
    arguments: dict[str, Any]
    data: Path
    preprocessing: Preprocessing | None
    middle: tuple[str, str]


def broken(state: State, layer: str, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], share: float) -> State:
    """``state`` with the statistics of a share of the channels of ``layer`` changed."""
    mean, variance = (state[f"{layer}.{name}"].clone() for name in ("running_mean", "running_var"))
    count = max(1, round(share * len(mean)))
    mean[:count], variance[:count] = change(mean[:count], variance[:count])
    return {**state, f"{layer}.running_mean": mean, f"{layer}.running_var": variance}


def never_filled(state: State, layers: tuple[str, ...]) -> State:
    """``state`` with what the statistics of ``layers`` begin with; of all layers for none."""
    made = dict(state)
    for key, value in state.items():
        if not layers or key.rpartition(".")[0] in layers:
            made |= {key: torch.zeros_like(value)} if key.endswith(("running_mean", "num_batches_tracked")) else {}
            made |= {key: torch.ones_like(value)} if key.endswith("running_var") else {}
    return made


#: What is planted, by name: the kind that is to be found, and how.
SICKNESSES: dict[str, tuple[str, Callable[[State, tuple[str, str]], State]]] = {
    "NaN in two layers": (
        "statistics-not-finite",
        lambda state, layers: broken(
            broken(state, layers[0], lambda m, v: (m * np.nan, v * np.nan), 0.1),
            layers[1], lambda m, v: (m, v * np.nan), 1.0,
        ),
    ),
    "Inf in a variance": (
        "statistics-not-finite",
        lambda state, layers: broken(state, layers[1], lambda m, v: (m, v / 0), 0.2),
    ),
    "never filled": ("statistics-never-filled", lambda state, _: never_filled(state, ())),
    "one never filled": ("statistics-never-filled", lambda state, layers: never_filled(state, layers[:1])),
    "tiny variance": (
        "variance-too-small",
        lambda state, layers: broken(state, layers[0], lambda m, v: (m, 0 * v + 1e-10), 0.3),
    ),
    "enormous variance": (
        "variance-too-large",
        lambda state, layers: broken(state, layers[0], lambda m, v: (m, v * 1e10), 0.3),
    ),
    "mean far away": (
        "mean-far",
        lambda state, layers: broken(state, layers[1], lambda m, v: (m + 1000 * v.sqrt(), v), 0.2),
    ),
}  # fmt: skip


def learned(model: nn.Module, x: Tensor, y: Tensor, epochs: int) -> nn.Module:
    """``model`` trained by Adam at a falling rate."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.02)
    steps = epochs * (len(x) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x))[: len(x) // 64 * 64].split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def cases(cache: Path) -> list[Case]:
    """The networks, trained where the cache has them not."""
    cache.mkdir(parents=True, exist_ok=True)
    train, test = training_digits(), held_out_digits()
    y = torch.from_numpy(train[1])
    large = {
        name: np.stack([np.asarray(Image.fromarray(x).resize((32, 32), Image.Resampling.BILINEAR)) for x in images])
        for name, images in (("train", train[0]), ("test", test[0]))
    }
    np.savez(cache / "large-digits.npz", x=large["test"], y=test[1])
    rows = {name: (images / 255 - 0.304) / 0.375 for name, images in (("train", train[0]), ("test", test[0]))}
    np.savez(cache / "sequences.npz", x=rows["test"].astype("f4"), y=test[1])
    mobile = {"num_classes": 10, "width_mult": 0.35}
    if not (cache / "mobilenet.safetensors").exists():
        x = prepare_pixels(torch.from_numpy(large["train"])[:, None], LARGE).expand(-1, 3, -1, -1).contiguous()
        save_file(
            learned(build("torchvision/mobilenet_v2", mobile), x, y, 40).state_dict(), cache / "mobilenet.safetensors"
        )
    if not (cache / "sequences.safetensors").exists():
        x = torch.from_numpy(rows["train"]).float()
        save_file(learned(sequences(), x, y, 60).state_dict(), cache / "sequences.safetensors")
    grey = Preprocessing(resize=32, crop=32, mean=(0.304,) * 3, std=(0.375,) * 3)
    return [
        Case("sequences (N, C, L)", cache / "sequences.safetensors", "tests.benchmarks.sick_networks:sequences", {},
             cache / "sequences.npz", None, ("4", "7")),
        Case("MobileNetV2", cache / "mobilenet.safetensors", "torchvision/mobilenet_v2", mobile,
             cache / "large-digits.npz", grey, ("features.5.conv.0.1", "features.12.conv.1.1")),
        Case("ResNet-20", SHARED / "models/cifar10-resnet20.th", "cifar/resnet20", {},
             SHARED / "data/cifar10-val-5k.zip", Preprocessing(resize=32, crop=32), ("layer1.1.bn2", "layer2.0.bn1")),
    ]  # fmt: skip


def top1(summary: Summary, *arms: str) -> float | None:
    """In percent, of the first of ``arms`` that was measured."""
    assert summary.measurement is not None
    known = {scores.arm: scores.metrics["top1"].value for scores in summary.measurement.arms}
    return next((100 * known[arm] for arm in arms if arm in known), None)


def by_command(case: Case, sick: Path, out: Path) -> Summary:
    """`afternorm calibrate --recipe repair`."""
    command = [
        sys.executable, "-c", "from calibrate.cli import main; main()", "calibrate", "--recipe", "repair",
        "--model", sick, "--architecture", case.architecture, "--architecture-args", json.dumps(case.arguments),
        "--data", case.data, "--latency-runs", 0, "--formats", "safetensors", "--out", out, "--json", "--threads", 1,
        *(() if case.preprocessing is None else ("--preprocessing", case.preprocessing.model_dump_json())),
    ]  # fmt: skip
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return Summary.model_validate_json(ran.stdout)


def by_rest(client: Client, case: Case, sick: Path, out: Path) -> Summary:
    """A job with the recipe `repair`."""
    model = client.add_model(
        sick, architecture=case.architecture, architecture_args=case.arguments, preprocessing=case.preprocessing,
        name=f"{case.name} {sick.stem}",
    )  # fmt: skip
    job = client.wait(client.submit(model=model.id, dataset=client.add_dataset(case.data).id, recipe="repair"))
    assert job.state == "succeeded", job
    files = {path.name: path for path in client.fetch(job, out)}
    return Summary.model_validate_json(files["summary.json"].read_bytes())


def asked(case: Case, client: Client | None, folder: Path) -> bool:
    """Print what becomes of the sick networks; whether all were named and cured."""
    arguments: dict[str, Any] = {"data": str(case.data), "preprocessing": case.preprocessing}
    opened = open_model(case.checkpoint, case.architecture, case.arguments)
    healthy = retrofit(opened.model, "measure", **arguments)
    state: State = opened.model.state_dict()
    right = top1(healthy.summary, "original")
    print(f"\n{case.name}: {right:.2f} % healthy, n = {healthy.summary.data.holdout}, sick: {healthy.summary.sick}")
    all_cured = not healthy.summary.sick
    for name, (kind, plant) in SICKNESSES.items():
        sick = folder / f"{name.replace(' ', '-')}.safetensors"
        save_file({key: value.contiguous() for key, value in plant(state, case.middle).items()}, sick)
        model = open_model(sick, case.architecture, case.arguments).model
        found = retrofit(model, "repair", **arguments).summary
        doors = {"python": found, "command": by_command(case, sick, folder / "out")}
        if client is not None and ":" not in case.architecture:
            doors["rest"] = by_rest(client, case, sick, folder / "served")
        kinds = {item.kind for item in found.sick}
        cured = [top1(summary, "tuned+T", "original") or 0.0 for summary in doors.values()]
        before = top1(found, "original")
        resolution = max(TOLERANCE, 100 / found.data.holdout + 1e-9)
        fine = kind in kinds and all(value >= (right or 0) - resolution for value in cured)
        all_cured &= fine
        had = "—" if before is None else f"{before:.2f}"
        print(
            f"  {name:<18} found {', '.join(sorted(kinds)) or 'nothing'}; sick {had}"
            f" % -> {', '.join(f'{door} {value:.2f}' for door, value in zip(doors, cured, strict=True))}"
            f"; {found.verdict}{' (a repair)' if found.is_repair else ''}{'' if fine else '   <-- NOT'}"
        )
    return all_cured


def main() -> None:
    """Print all tables; exit 1 where a sickness was not named, or not cured to within .2 points or one example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the trained networks are kept")
    parser.add_argument("--rest", action="store_true", help="also by a server of its own")
    given = parser.parse_args()
    made = cases(given.cache)
    with tempfile.TemporaryDirectory() as folder:
        if given.rest:
            with served(Path(folder) / "data") as url, Client(url) as client:
                fine = [asked(case, client, Path(folder)) for case in made]
        else:
            fine = [asked(case, None, Path(folder)) for case in made]
    sys.exit(not all(fine))


if __name__ == "__main__":
    main()
