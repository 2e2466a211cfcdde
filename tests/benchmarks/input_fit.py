"""Does the input fit name what is wrong with a network's inputs, and leave right ones alone?

    python -m tests.benchmarks.input_fit [--out FOLDER] [--cache FOLDER] [--quick] [--only NETWORK ...]

The EfficientNet-lites 0, 1 and 2 on the 500 ImageNet images of ../shared (or $AFTERNORM_SHARED), CIFAR R20 and R56, the
bundled network, and seven that ``preparations.training`` trains in minutes on oddly prepared images, which are kept in
`--cache`. Each network is asked about preparations that it was not trained on, without labels and with them; and about
its right one, on images as they are and corrupted C-style, 19 corruptions at severity 1 to 3, or one of these each.

`--out` gets one JSON for each question, and what is there is not asked again. Printed are the table of fits, what was
said of each wrong preparation beside what that costs, and the false alarms on right ones. `--quick` asks little.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate import Preprocessing, fit_temperature, input_fit
from calibrate.data.c_style import SMALLEST_SIDE, corrupt
from calibrate.steps import CORRUPTION_SETS, Corruption, InputFit
from tests.benchmarks.preparations.networks import Network, drawn, networks
from tests.benchmarks.preparations.preparation import Preparation, candidates, wrong
from tests.benchmarks.preparations.reference import contrast, fits
from tests.benchmarks.preparations.training import SHARED

#: Images for the table of fits and, of small and large ones, for wrong preparations and in a corrupted set.
FITTED = 100
SCORED, CORRUPTED = {True: 500, False: 150}, {True: 250, False: 100}
LARGE = 200
SEVERITIES = (1, 2, 3)
#: The networks whose images are corrupted at all severities; each corruption has one for the others, in turn.
THOROUGH = ("lite0", "R20", "shufflenet_v2_x0_5, inverted", "resnet18, Caffe's BGR")
#: Points of top-1 that a wrong preparation costs where it has to be named.
COSTLY = 1.0
KINDS = ("unlabelled", "labelled")
#: The networks that ``--quick`` asks about, which need no training.
QUICK = ("R20", "bundled")
CACHE = Path(tempfile.gettempdir()) / "afternorm-input-fit"

Cell = dict[str, Any]


class Cells:
    """Results by name, one JSON file each in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *names: str, make: Callable[[], Cell]) -> Cell:
        """The result of that name: read where it is there, else made and written."""
        *folders, name = (each.replace("/", "-") for each in names)
        path = self._folder.joinpath(*folders, f"{name}.json")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            unfinished.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n")
            unfinished.rename(path)
        cell: Cell = json.loads(path.read_text())
        return cell


def scores(model: nn.Module, preparation: Preparation, pixels: Tensor, labels: Tensor) -> Cell:
    """Top-1 in percent, and the mean cross-entropy after its own T, of images in that preparation."""
    with torch.inference_mode():
        logits = torch.cat([model(preparation(part)) for part in pixels.split(25)])
    top1 = float((logits.argmax(1) == labels).double().mean())
    return {"n": len(labels), "top1": 100 * top1, "nll": float(fit_temperature(logits, labels).nll.mean())}


def ask(model: nn.Module, preparation: Preparation, pixels: Tensor, labels: Tensor | None) -> Cell:
    """What the product says of images that are given in that preparation."""
    arrays: dict[str, NDArray[Any]] = {"x": pixels.permute(0, 2, 3, 1).numpy()}
    if labels is not None:
        arrays["y"] = labels.numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npz"
        np.savez(path, allow_pickle=False, **arrays)
        return told(input_fit(model, path, preprocessing=preprocessing(preparation), batch_size=25, device="cpu"))


def preprocessing(preparation: Preparation) -> Preprocessing:
    """The preparation as the product has it."""
    return Preprocessing(
        channels=1 if len(preparation.mean) == 1 else 3,
        mean=preparation.mean,
        std=preparation.std,
        order="bgr" if preparation.bgr else "rgb",
        inverted=preparation.inverted,
    )


def told(found: InputFit) -> Cell:
    """What of the product's answer is kept; ``preparation`` is the one it names, where it is one of pairs."""
    best = min(found.others, key=lambda item: item.misfit)
    named = found.better_fit or found.undoing
    cell: Cell = {
        "says": "nothing" if not found.misfits else "misfit alone" if found.better is None else "named",
        "given": found.given.misfit,
        "best": best.misfit,
        "best_name": best.name,
        "contrast": found.contrast,
        "proven": found.proven,
        "name": named.name if found.misfits and named else "",
    }
    made = named.preprocessing if found.misfits and named else None
    if made is not None:
        preparation = Preparation(made.mean, made.std, made.order == "bgr", made.inverted)
        if preprocessing(preparation) == made:
            cell["preparation"] = asdict(preparation)
    return cell


def corrupted(pixels: Tensor, rows: Tensor, corruption: Corruption, severity: int) -> Tensor:
    """The images at ``rows``, corrupted; grey ones as RGB, of which the first channel is kept."""
    made = []
    for row in rows.tolist():
        image = pixels[row].expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
        seed = int(np.random.SeedSequence((row, int.from_bytes(corruption.encode()))).generate_state(1)[0])
        changed = corrupt(image, corruption, severity, seed).transpose(2, 0, 1)
        made.append(torch.from_numpy(changed[: pixels.shape[1]].copy()))
    return torch.stack(made)


def on_wrong(network: Network, given: Preparation, pixels: Tensor, labels: Tensor) -> Cell:
    """What is said of images in the preparation ``given``, without labels and with; and what each named one scores."""
    model = network.model
    cell: Cell = {"scores": scores(model, given, pixels, labels)}
    for kind, known in zip(KINDS, (None, labels), strict=True):
        cell[kind] = answer = ask(model, given, pixels, known)
        if "preparation" in answer:
            made: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in answer["preparation"].items()}
            named = Preparation(**made)
            answer["right"] = named == network.preparation
            answer["scores"] = scores(model, named, pixels, labels)
    return cell


def on_right(network: Network, pixels: Tensor, labels: Tensor) -> Cell:
    """What is said of images in the right preparation, without labels and with."""
    model, right = network.model, network.preparation
    answers = {kind: ask(model, right, pixels, known) for kind, known in zip(KINDS, (None, labels), strict=True)}
    return {**answers, "n": len(pixels), "contrast": contrast(pixels), "mean": float(pixels.double().mean() / 255)}


def ask_about(name: str, network: Network, cells: Cells, *, quick: bool) -> None:
    """Ask what is not yet known of one network."""
    images, labels = network.data()
    right = network.preparation
    small = images.shape[-1] < LARGE
    few, many = (drawn(len(images), min(n, len(images) // 2), 1) for n in (FITTED, FITTED if quick else SCORED[small]))
    tried = {"right": right, **candidates(images.shape[1])}
    cells("fits", name, make=lambda: fits(network.model, images[few], tried))
    listed = {"listed": right in candidates(images.shape[1]).values()}
    cells("right", name, make=lambda: {**scores(network.model, right, images[many], labels[many]), **listed})
    for given, preparation in wrong(right, quick=quick).items():
        cells("wrong", name, given, make=partial(on_wrong, network, preparation, images[many], labels[many]))
    cells("corrupted", name, "none 0", make=lambda: on_right(network, images[many], labels[many]))
    if images.shape[-1] < SMALLEST_SIDE:
        return
    for number, corruption in enumerate(CORRUPTION_SETS["all"][: 2 if quick else None]):
        for severity in SEVERITIES if name in THOROUGH and not quick else (SEVERITIES[number % 3],):
            rows = drawn(len(images), FITTED if quick else CORRUPTED[small], 100 + 3 * number + severity)

            def make(rows: Tensor = rows, corruption: Corruption = corruption, severity: int = severity) -> Cell:
                return on_right(network, corrupted(images, rows, corruption, severity), labels[rows])

            cells("corrupted", name, f"{corruption} {severity}", make=make)


def table_of_fits(cells: Path) -> list[str]:
    """A markdown table: the misfit of the right preparation, of the best three others, and of the wrong ones given."""
    lines = ["| network | right | others, the best first |", "|---|---:|---|"]
    for path in sorted(cells.glob("fits/*.json")):
        found: dict[str, float] = json.loads(path.read_text())
        right = found.pop("right")
        best = sorted((name for name in found if found[name] != right), key=lambda name: found[name])[:4]
        lines.append(f"| {path.stem} | {right:.3f} | {'; '.join(f'{name} {found[name]:.3f}' for name in best)} |")
    return lines


def table_of_wrong(cells: Path) -> list[str]:
    """A markdown table of what was said of each wrong preparation; the last line counts."""
    lines = [
        "| network | given | costs, points (NLL) | misfit | without labels | with labels |",
        "|---|---|---:|---:|---|---|",
    ]
    counts = dict.fromkeys(KINDS, 0)
    costly = 0
    for path in sorted(cells.glob("wrong/*/*.json")):
        network, given, cell = path.parent.name, path.stem, json.loads(path.read_text())
        right = json.loads((cells / "right" / f"{network}.json").read_text())
        cost, nll = right["top1"] - cell["scores"]["top1"], cell["scores"]["nll"] - right["nll"]
        said = [_said(cell[kind], right) for kind in counts]
        if cost > COSTLY:
            costly += 1
            for kind in counts:
                counts[kind] += _is_named(cell[kind], right)
        misfit = cell["unlabelled"]["given"]
        lines.append(f"| {network} | {given} | {cost:+.1f} ({nll:+.2f}) | {misfit:.3g} | {said[0]} | {said[1]} |")
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return [*lines, "", f"{costly} cost more than {COSTLY:g} point; of these named right: {told}"]


def _is_named(answer: Cell, right: Cell) -> bool:
    """Whether the one named costs at most a point against the right one; or the misfit, where the right is unlisted."""
    if answer["says"] == "misfit alone":
        return not right["listed"]
    return "scores" in answer and right["top1"] - answer["scores"]["top1"] <= COSTLY


def _said(answer: Cell, right: Cell) -> str:
    """What was said, and of a named preparation what it costs where it is not the right one."""
    if answer["says"] == "nothing":
        return "**nothing**"
    if answer.get("right"):
        return "right"
    name = answer["name"] if answer["says"] == "named" else "misfit alone"
    if "scores" not in answer:
        return name
    return f"{name} ({right['top1'] - answer['scores']['top1']:+.1f})"


def table_of_right(cells: Path) -> list[str]:
    """A markdown table of the false alarms on right inputs, and each of them."""
    lines = ["| network | sets | alarms without labels | with labels |", "|---|---:|---:|---:|"]
    alarms: list[str] = []
    sums = np.zeros(3, int)
    for folder in sorted(cells.glob("corrupted/*")):
        named = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
        counted = [sum(cell[kind]["says"] != "nothing" for cell in named.values()) for kind in KINDS]
        sums += np.array([len(named), *counted])
        lines.append(f"| {folder.name} | {len(named)} | {counted[0]} | {counted[1]} |")
        alarms += [
            f"{folder.name}, {name}, {kind}: misfit {cell[kind]['given']:.3f}, {cell[kind]['name']}, "
            f"contrast {cell['contrast']:.2f}"
            for name, cell in named.items()
            for kind in KINDS
            if cell[kind]["says"] != "nothing"
        ]
    lines.append(f"| all | {sums[0]} | {sums[1]} ({100 * sums[1] / max(1, sums[0]):.1f} %) | {sums[2]} |")
    return [*lines, "", *alarms]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="network", help="networks of the table; default: all")
    parser.add_argument("--out", type=Path, default=CACHE / "cells", help="default: under the temporary folder")
    parser.add_argument("--cache", type=Path, default=CACHE / "networks", help="default: under the temporary folder")
    parser.add_argument("--quick", action="store_true", help="few networks, images and corruptions")
    parser.add_argument("--print", action="store_true", help="ask nothing, print what is known")
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        print(f"skipped: needs the shared models and data, and {SHARED} is not there")
        return
    torch.set_num_threads(1)
    made = networks(arguments.cache)
    names = arguments.only or (QUICK if arguments.quick else list(made))
    if unknown := [name for name in names if name not in made]:
        parser.error(f"{', '.join(unknown)} is not in the table; choose from {', '.join(made)}")
    for name in () if arguments.print else names:
        ask_about(name, made[name](), Cells(arguments.out), quick=arguments.quick)
    for table in (table_of_fits, table_of_wrong, table_of_right):
        print("\n".join(table(arguments.out)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
