"""The kinds of files that the product reads: honest ones of each, and how one is opened and put to use."""

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import save

from calibrate import open_model, probe, shift_reference
from calibrate.batch import read_cells
from calibrate.batch.record import RECORD, SUMMARY, read_record, read_summary
from calibrate.data import open_data, read_class_map, read_classes
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING
from calibrate.demo.digits import held_out_digits
from calibrate.engine import Opened, inspect_model
from calibrate.engine.inputs.reference import read_reference
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.trials.folder import FolderTrials
from calibrate.export import Provenance
from calibrate.export.tuned_file import tuned_bytes
from calibrate.preprocessing import Preprocessing
from calibrate.recipe import PRESETS, Comparison, FineTuning, read, read_recipe
from calibrate.surgery import find_sites, look, weigh_examples_
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
IMAGES, LABELS = held_out_digits()
COUNT = 24


@dataclass(frozen=True)
class Kind:
    """Honest files of one kind, with their endings, and what opens one: it succeeds, or raises AfternormError."""

    seeds: Sequence[tuple[str, bytes]]
    opens: Callable[[Path], object]


def kinds(folder: Path) -> dict[str, Kind]:
    """All kinds by name; ``folder`` gets what their files name."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = _checkpoints(folder)
    return {
        "torch zip": Kind([item for item in checkpoints if item[1].startswith(b"PK")], _network),
        "torch before 1.6, pickle": Kind([item for item in checkpoints if item[1].startswith(b"\x80")], _network),
        "safetensors": Kind([item for item in checkpoints if item[1][8:9] == b"{"], _network),
        "tuned file": Kind([(".safetensors", _tuned())], lambda path: _used(open_model(path))),
        "npz": Kind([(".npz", content) for content in _arrays()], _data),
        "zip of images": Kind([(".zip", _zip(_images("PNG"))), (".zip", _zip(_images("JPEG")))], _data),
        "tar of images": Kind([(".tar", _tar(_images("PNG"), "w")), (".tar.gz", _tar(_images("PNG"), "w:gz"))], _data),
        "png": Kind([(".png", content) for content in _pictures("PNG")], _image),
        "jpeg": Kind([(".jpg", content) for content in _pictures("JPEG")], _image),
        "csv of images": Kind([(".csv", content) for content in _tables(folder)], _data),
        "idx of MNIST": Kind([(".idx3", _idx(IMAGES[:COUNT])), (".idx1", _idx(LABELS[:COUNT]))], _mnist),
        "class list": Kind(_class_lists(), _classes),
        "class map": Kind(_class_maps(), _class_map),
        "preprocessing": Kind(_documents(PREPROCESSING.model_dump(mode="json")), _preprocessing),
        "recipe": Kind([item for recipe in _recipes() for item in _documents(recipe)], _recipe),
        "fine-tuning": Kind(_documents(FineTuning().model_dump(mode="json")), lambda path: read(FineTuning, path)),
        "comparison": Kind(_documents(_comparison()), lambda path: read(Comparison, path)),
        "manifest": Kind(_documents(_manifest(folder)), read_cells),
        "reference": Kind([(".reference.json", _reference())], _compare),
        "finished pass": Kind([(".safetensors", save({"trial": torch.rand(12, 10)}))], _trial),
        "record of a run": Kind([(".json", _record())], _finished(RECORD, read_record)),
        "summary of a run": Kind(_summaries(), _finished(SUMMARY, read_summary)),
    }


def _checkpoints(folder: Path) -> list[tuple[str, bytes]]:
    made = []
    for number, name in enumerate(CHECKPOINTS):
        place = folder / "checkpoints" / str(number)
        place.mkdir(parents=True)
        path = LAYOUTS[name](place).path
        made.append((path.suffix, path.read_bytes()))
    return made


def _network(path: Path) -> None:
    _used(open_model(path, ARCHITECTURE, ARCHITECTURE_ARGS))


def _used(opened: Opened) -> None:
    """Inspect the network, and look at what it does with a black image."""
    inspect_model(opened)
    look(opened.model, find_sites(opened.model), torch.zeros(2, 1, 8, 8, dtype=input_dtype(opened.model)))


def _tuned() -> bytes:
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


def _arrays() -> list[bytes]:
    x, y = IMAGES[:COUNT], LABELS[:COUNT]
    made = []
    for write, arrays in (
        (np.savez, {"x": x, "y": y}),
        (np.savez, {"images": x[..., None], "labels": y.astype(np.uint8)}),
        (np.savez_compressed, {"data": (x / 255).astype(np.float32)[:, None], "target": y}),
        (np.savez, {"x": x.astype(np.float16)}),
        (np.savez, {"train_images": x, "train_labels": y[:, None], "val_images": x, "val_labels": y[:, None]}),
    ):
        stream = io.BytesIO()
        write(stream, **arrays)
        made.append(stream.getvalue())
    return made


def _picture(index: int, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(IMAGES[index]).resize((16, 16)).save(stream, kind, **options)
    return stream.getvalue()


def _pictures(kind: str) -> list[bytes]:
    made = [_picture(0, kind), _picture(1, kind, optimize=True)]
    grey = Image.fromarray(IMAGES[2]).resize((16, 16))
    for mode, options in (
        ("RGB", {}),
        ("P" if kind == "PNG" else "CMYK", {}),
        ("I;16" if kind == "PNG" else "L", {} if kind == "PNG" else {"progressive": True}),
        ("RGBA" if kind == "PNG" else "RGB", {} if kind == "PNG" else {"exif": Image.Exif()}),
    ):
        stream = io.BytesIO()
        grey.convert(mode).save(stream, kind, **options)
        made.append(stream.getvalue())
    return made


def _images(kind: str) -> dict[str, bytes]:
    ending = "png" if kind == "PNG" else "jpg"
    return {f"{LABELS[index]}/{index}.{ending}": _picture(index, kind) for index in range(COUNT)}


def _zip(contents: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _tar(contents: Mapping[str, bytes], mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _all_of(source: Any) -> None:
    """Everything that a run reads of data: each input, and what an error calls it."""
    for batch in source.batches(np.arange(len(source)), 8):
        assert len(batch.inputs)
    assert source.entry(len(source) - 1)
    assert len(source.fingerprint) == 64


def _data(path: Path) -> None:
    _all_of(open_data(path, preprocessing=PREPROCESSING))


def _image(path: Path) -> None:
    """In a folder with a sound one; both are of a class."""
    for name, content in (("0", path.read_bytes()), ("1", _picture(0, "PNG"))):
        place = path.with_suffix("") / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"image{path.suffix if name == '0' else '.png'}").write_bytes(content)
    _data(path.with_suffix(""))


def _tables(folder: Path) -> list[bytes]:
    for name, content in _images("PNG").items():
        place = folder / "csv-of-images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    names = list(_images("PNG"))
    made = []
    for header, rows in (
        (("path", "label"), [(name, name[0]) for name in names]),
        (("label", "path", "split"), [(f"digit {name[0]}", name, "val") for name in names]),
        (("path",), [(name,) for name in names]),
        (("path", "label"), [(name, f"{name[0]}.0") for name in names]),
    ):
        stream = io.StringIO()
        csv.writer(stream).writerows([header, *rows])
        made.append(stream.getvalue().encode())
    return made


def _idx(values: Any) -> bytes:
    """In the format of MNIST: the number of dimensions, the sizes, the bytes."""
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">i4").tobytes() + values.astype(np.uint8).tobytes()


def _mnist(path: Path) -> None:
    """As the images or the labels of a set of torchvision's, whose other files are sound."""
    place = path.with_suffix("") / "MNIST" / "raw"
    place.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        for name, values, ending in (("images", IMAGES, ".idx3"), ("labels", LABELS, ".idx1")):
            content = path.read_bytes() if part == "t10k" and path.suffix == ending else _idx(values[:COUNT])
            (place / f"{part}-{name}-{ending[1:]}-ubyte").write_bytes(content)
    _all_of(open_data(f"torchvision:MNIST?root={path.with_suffix('')}", preprocessing=PREPROCESSING))


def _sorted_digits() -> Any:
    return [str(label) for label in sorted({int(label) for label in LABELS})]


def _class_lists() -> list[tuple[str, bytes]]:
    names = _sorted_digits()
    return [
        (".txt", "\n".join(names).encode()),
        (".json", json.dumps(names).encode()),
        (".json", json.dumps({name: index for index, name in enumerate(names)}).encode()),
        (".json", json.dumps({str(i): [f"n{i:08}", name] for i, name in enumerate(names)}).encode()),
        (".yaml", ("names:\n" + "".join(f"  {i}: '{name}'\n" for i, name in enumerate(names))).encode()),
        (".yaml", "".join(f"- '{name}'\n" for name in names).encode()),
    ]


def _archive(path: Path) -> Path:
    """The images that a class list or class map is used on."""
    place = path.parent / "images.zip"
    if not place.exists():
        place.write_bytes(_zip(_images("PNG")))
    return place


def _classes(path: Path) -> None:
    open_data(_archive(path), preprocessing=PREPROCESSING, classes=read_classes(path))


def _class_maps() -> list[tuple[str, bytes]]:
    names = _sorted_digits()
    return [
        (".yaml", "".join(f"'{name}': {int(name) % 5}\n" for name in names).encode()),
        (".json", json.dumps({name: int(name) for name in names}).encode()),
        (".csv", ("data,model\n" + "".join(f"{name},{name}\n" for name in names)).encode()),
    ]


def _class_map(path: Path) -> None:
    open_data(_archive(path), preprocessing=PREPROCESSING, class_map=read_class_map(path))


def _documents(document: Any) -> list[tuple[str, bytes]]:
    """As JSON, as YAML in blocks and in one line, and as TOML where it has nothing without a value."""
    made = [
        (".json", json.dumps(document, indent=1).encode()),
        (".yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode()),
        (".yaml", yaml.safe_dump(document, default_flow_style=True, sort_keys=False).encode()),
    ]
    flat = {name: value for name, value in document.items() if isinstance(value, str | int | float | bool)}
    return [*made, (".toml", "".join(f"{name} = {json.dumps(value)}\n" for name, value in flat.items()).encode())]


def _preprocessing(path: Path) -> None:
    _all_of(open_data(_archive(path), preprocessing=read(Preprocessing, path)))


def _recipes() -> list[Any]:
    return [PRESETS[name].model_dump(mode="json") for name in ("quick", "alpha", "repair")]


def _recipe(path: Path) -> None:
    assert len(read_recipe(str(path)).digest) == 64


def _comparison() -> Any:
    return {"arms": {"vanilla": {}, "adam": {"optimizer": {"kind": "adam"}}}, "baseline": "vanilla", "seeds": 3}


def _manifest(folder: Path) -> Any:
    place = folder / "manifest"
    place.mkdir(parents=True, exist_ok=True)
    (place / "digits.safetensors").write_bytes(_tuned())
    (place / "digits.zip").write_bytes(_zip(_images("PNG")))
    (place / "names.txt").write_text("\n".join(_sorted_digits()))
    shape = PREPROCESSING.model_dump(mode="json")
    return {
        "version": 1,
        "models": {"one": {"model": "digits.safetensors"}, "two": {"model": "digits.safetensors"}},
        "datasets": {"a": {"data": "digits.zip", "preprocessing": shape, "classes": "names.txt"}},
        "recipes": {"alpha": "alpha", "own": _recipes()[1]},
        "outputs": {"formats": ["safetensors"], "latency_runs": 0},
        "settings": {"threads": 1, "batch_size": 16, "device": "cpu"},
    }


def _digits() -> list[tuple[torch.Tensor, int]]:
    x = (torch.from_numpy(IMAGES[:COUNT]).float()[:, None] / 255 - 0.304) / 0.375
    return [(x[i], int(LABELS[i])) for i in range(COUNT)]


def _reference() -> bytes:
    return shift_reference(network(), _digits()).model_dump_json(indent=1).encode()


def _compare(path: Path) -> None:
    probe(network(), "field_shift", _digits(), reference=read_reference(path))


def _trial(path: Path) -> None:
    trials = FolderTrials(path.parent, "fuzz")
    place = next(item for item in path.parent.iterdir() if item.is_dir()) / path.name
    place.write_bytes(path.read_bytes())
    recalled = trials.recall(path.stem)
    place.unlink()
    assert recalled is None or isinstance(recalled, torch.Tensor)


def _record() -> bytes:
    return json.dumps({"version": 1, "request": "a" * 64, "exit_code": 0, "result": "b" * 64, "error": ""}).encode()


def _summaries() -> list[tuple[str, bytes]]:
    old = sorted((Path(__file__).parents[2] / "result" / "version_1").glob("*.json"))
    made = [(".json", path.read_bytes()) for path in old if b'"measurement"' in path.read_bytes()][:3]
    return [(".json", summary().model_dump_json(indent=1).encode()), *made]


def _finished(name: str, reads: Callable[[Path], object]) -> Callable[[Path], None]:
    """Reads ``name`` in a folder; there is nothing to be said of one that cannot be read, which is run again."""

    def opens(path: Path) -> None:
        (path.parent / name).write_bytes(path.read_bytes())
        reads(path.parent)

    return opens
