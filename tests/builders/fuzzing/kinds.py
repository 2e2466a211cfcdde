"""The kinds of files that the product reads: honest ones of each, and how one is opened and put to use."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save

from calibrate import open_model
from calibrate.batch import read_cells
from calibrate.batch.record import RECORD, SUMMARY, read_record, read_summary
from calibrate.data import open_data
from calibrate.demo import PREPROCESSING
from calibrate.preprocessing import Preprocessing
from calibrate.recipe import PRESETS, Comparison, FineTuning, read, read_recipe
from tests.builders.fuzzing import data_files, networks


@dataclass(frozen=True)
class Kind:
    """Honest files of one kind, with their endings, and what opens one: it succeeds, or raises AfternormError."""

    seeds: Sequence[tuple[str, bytes]]
    opens: Callable[[Path], object]


def kinds(folder: Path) -> dict[str, Kind]:
    """All kinds by name; ``folder`` gets what their files name."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = networks.checkpoints(folder)
    return {
        "torch zip": Kind([item for item in checkpoints if item[1].startswith(b"PK")], networks.use_network),
        "torch before 1.6, pickle": Kind(
            [item for item in checkpoints if item[1].startswith(b"\x80")], networks.use_network
        ),
        "safetensors": Kind([item for item in checkpoints if item[1][8:9] == b"{"], networks.use_network),
        "tuned file": Kind([(".safetensors", networks.tuned_file())], lambda path: networks.use(open_model(path))),
        "npz": Kind([(".npz", content) for content in data_files.arrays()], data_files.read_data),
        "zip of images": Kind(
            [
                (".zip", data_files.zipped(data_files.images("PNG"))),
                (".zip", data_files.zipped(data_files.images("JPEG"))),
            ],
            data_files.read_data,
        ),
        "tar of images": Kind(
            [
                (".tar", data_files.tarred(data_files.images("PNG"), "w")),
                (".tar.gz", data_files.tarred(data_files.images("PNG"), "w:gz")),
            ],
            data_files.read_data,
        ),
        "png": Kind([(".png", content) for content in data_files.pictures("PNG")], data_files.read_image),
        "jpeg": Kind([(".jpg", content) for content in data_files.pictures("JPEG")], data_files.read_image),
        "csv of images": Kind([(".csv", content) for content in data_files.tables(folder)], data_files.read_data),
        "idx of MNIST": Kind(
            [
                (".idx3", data_files.idx(data_files.IMAGES[: data_files.COUNT])),
                (".idx1", data_files.idx(data_files.LABELS[: data_files.COUNT])),
            ],
            data_files.read_mnist,
        ),
        "class list": Kind(data_files.class_lists(), data_files.use_class_list),
        "class map": Kind(data_files.class_maps(), data_files.use_class_map),
        "preprocessing": Kind(documents(PREPROCESSING.model_dump(mode="json")), use_preprocessing),
        "recipe": Kind([item for recipe in recipes() for item in documents(recipe)], use_recipe),
        "fine-tuning": Kind(documents(FineTuning().model_dump(mode="json")), lambda path: read(FineTuning, path)),
        "comparison": Kind(documents(comparison()), lambda path: read(Comparison, path)),
        "manifest": Kind(documents(manifest(folder)), read_cells),
        "reference": Kind([(".reference.json", networks.reference())], networks.use_reference),
        "unfinished re-estimation": Kind(
            [(".safetensors", networks.unfinished_gathering(folder))], networks.go_on_gathering
        ),
        "unfinished fine-tuning": Kind([(".pt", networks.unfinished_training(folder))], networks.go_on_training),
        "finished pass": Kind([(".safetensors", save({"trial": torch.rand(12, 10)}))], networks.recall_trial),
        "record of a run": Kind([(".json", networks.record())], networks.reads_in_folder(RECORD, read_record)),
        "summary of a run": Kind(networks.summaries(), networks.reads_in_folder(SUMMARY, read_summary)),
    }


def documents(document: Any) -> list[tuple[str, bytes]]:
    """As JSON, as YAML in blocks and in one line, and as TOML where it has nothing without a value."""
    made = [
        (".json", json.dumps(document, indent=1).encode()),
        (".yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode()),
        (".yaml", yaml.safe_dump(document, default_flow_style=True, sort_keys=False).encode()),
    ]
    flat = {name: value for name, value in document.items() if isinstance(value, str | int | float | bool)}
    return [*made, (".toml", "".join(f"{name} = {json.dumps(value)}\n" for name, value in flat.items()).encode())]


def use_preprocessing(path: Path) -> None:
    data_files.read_all(open_data(data_files.archive_beside(path), preprocessing=read(Preprocessing, path)))


def recipes() -> list[Any]:
    return [PRESETS[name].model_dump(mode="json") for name in ("quick", "alpha", "repair")]


def use_recipe(path: Path) -> None:
    assert len(read_recipe(str(path)).digest) == 64


def comparison() -> Any:
    return {"arms": {"vanilla": {}, "adam": {"optimizer": {"kind": "adam"}}}, "baseline": "vanilla", "seeds": 3}


def manifest(folder: Path) -> Any:
    place = folder / "manifest"
    place.mkdir(parents=True, exist_ok=True)
    (place / "digits.safetensors").write_bytes(networks.tuned_file())
    (place / "digits.zip").write_bytes(data_files.zipped(data_files.images("PNG")))
    (place / "names.txt").write_text("\n".join(data_files.digit_names()))
    shape = PREPROCESSING.model_dump(mode="json")
    return {
        "version": 1,
        "models": {"one": {"model": "digits.safetensors"}, "two": {"model": "digits.safetensors"}},
        "datasets": {"a": {"data": "digits.zip", "preprocessing": shape, "classes": "names.txt"}},
        "recipes": {"alpha": "alpha", "own": recipes()[1]},
        "outputs": {"formats": ["safetensors"], "latency_runs": 0},
        "settings": {"threads": 1, "batch_size": 16, "device": "cpu"},
    }
