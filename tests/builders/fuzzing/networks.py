"""Honest checkpoints and what runs keep for later, and going on from one."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from calibrate import open_model, probe, shift_reference
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING
from calibrate.engine import Opened, fine_tune, inspect_model
from calibrate.engine.inputs.reference import read_reference
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.trials.folder import FolderTrials
from calibrate.export import Provenance
from calibrate.export.tuned_file import tuned_bytes
from calibrate.recipe import PRESETS, FineTuning
from calibrate.result import silent
from calibrate.stats import ReestimationState, reestimate_
from calibrate.surgery import find_sites, look, weigh_examples_
from tests.builders.fuzzing.data_files import COUNT, IMAGES, LABELS
from tests.builders.layouts import LAYOUTS
from tests.builders.layouts.layout import network
from tests.samples import summary

#: Whose checkpoints are damaged: one of each manner of writing, and of holding, weights.
CHECKPOINTS = (
    *("torch: state dict", "torch: state dict, format before 1.6", "torch: state dict, pickle protocol 4"),
    *("torch: script that keeps everything", "torch: whole network", "torch: whole DataParallel network, before 1.6"),
    *("torch: mixed dtypes", "torch: saved on a GPU", "safetensors: bfloat16", "safetensors: two networks"),
    *("torch.compile of each block", "DeepSpeed: model states", "ema-pytorch alone", "pruned", "weight_norm"),
    *("spectral_norm, parametrised", "timm: train.py", "mmengine: runner", "detectron2: .pkl of arrays"),
    *("Swin: yacs configuration", "Lightning 1.2", "Lightning: hydra template", "Lightning: omegaconf", "composer"),
)


def checkpoints(folder: Path) -> list[tuple[str, bytes]]:
    made = []
    for number, name in enumerate(CHECKPOINTS):
        place = folder / "checkpoints" / str(number)
        place.mkdir(parents=True)
        path = LAYOUTS[name](place).path
        made.append((path.suffix, path.read_bytes()))
    return made


def use_network(path: Path) -> None:
    use(open_model(path, ARCHITECTURE, ARCHITECTURE_ARGS))


def use(opened: Opened) -> None:
    """Inspect the network, and look at what it does with a black image."""
    inspect_model(opened)
    look(opened.model, find_sites(opened.model), torch.zeros(2, 1, 8, 8, dtype=input_dtype(opened.model)))


def tuned_file() -> bytes:
    model = network()
    model = weigh_examples_(model, find_sites(model), 0.1)
    recipe = PRESETS["alpha"]
    provenance = Provenance(
        architecture=ARCHITECTURE,
        architecture_args=dict(ARCHITECTURE_ARGS),
        preprocessing=PREPROCESSING,
        class_names=tuple("0123456789"),
        recipe=recipe,
        recipe_digest=recipe.digest,
        summary_digest="0" * 64,
        temperature=1.1,
        temperature_folded_into="linear",
    )
    return tuned_bytes(model, provenance)


def labelled_digits(count: int = COUNT) -> list[tuple[torch.Tensor, int]]:
    x = (torch.from_numpy(IMAGES[:count]).float()[:, None] / 255 - 0.304) / 0.375
    return [(x[i], int(LABELS[i])) for i in range(count)]


def reference() -> bytes:
    return shift_reference(network(), labelled_digits()).model_dump_json(indent=1).encode()


def use_reference(path: Path) -> None:
    probe(network(), "field_shift", labelled_digits(), reference=read_reference(path))


class StopError(Exception):
    """Interrupts a run."""


def _interrupt(progress: Any) -> None:
    if progress.done >= progress.total // 2 and progress.stage in ("reestimate", "fine-tuning"):
        raise StopError


def go_on_gathering(path: Path, progress: Callable[[Any], None] = silent) -> None:
    batches = [torch.stack([x for x, _ in labelled_digits()[start : start + 8]]) for start in range(0, COUNT, 8)]
    reestimate_(network(), batches, checkpoint=ReestimationState(path, 0.0), progress=progress)


def unfinished_gathering(folder: Path) -> bytes:
    with suppress(StopError):
        go_on_gathering(folder / "gathered.safetensors", _interrupt)
    return (folder / "gathered.safetensors").read_bytes()


def go_on_training(path: Path, progress: Callable[[Any], None] = silent) -> None:
    recipe = FineTuning(phases=[{"epochs": 2}], batch_size=8, validation=0.3)
    fine_tune(network(), recipe, data=labelled_digits(80), state=path, progress=progress)


def unfinished_training(folder: Path) -> bytes:
    with suppress(StopError):
        go_on_training(folder / "training.pt", _interrupt)
    return (folder / "training.pt").read_bytes()


def recall_trial(path: Path) -> None:
    trials = FolderTrials(path.parent, "fuzz")
    place = next(item for item in path.parent.iterdir() if item.is_dir()) / path.name
    place.write_bytes(path.read_bytes())
    recalled = trials.recall(path.stem)
    place.unlink()
    assert recalled is None or isinstance(recalled, torch.Tensor)


def record() -> bytes:
    return json.dumps({"version": 1, "request": "a" * 64, "exit_code": 0, "result": "b" * 64, "error": ""}).encode()


def summaries() -> list[tuple[str, bytes]]:
    old = sorted((Path(__file__).parents[2] / "result" / "version_1").glob("*.json"))
    made = [(".json", path.read_bytes()) for path in old if b'"measurement"' in path.read_bytes()][:3]
    return [(".json", summary().model_dump_json(indent=1).encode()), *made]


def reads_in_folder(name: str, reads: Callable[[Path], object]) -> Callable[[Path], None]:
    """Reads ``name`` in a folder; there is nothing to be said of one that cannot be read, which is run again."""

    def opens(path: Path) -> None:
        (path.parent / name).write_bytes(path.read_bytes())
        reads(path.parent)

    return opens
