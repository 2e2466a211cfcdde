"""Honest data files of every kind, and reading all that a run reads of one."""

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from calibrate.data import open_data, read_class_map, read_classes
from calibrate.demo import PREPROCESSING
from calibrate.demo.digits import held_out_digits

IMAGES, LABELS = held_out_digits()
COUNT = 24


def arrays() -> list[bytes]:
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


def picture(index: int, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(IMAGES[index]).resize((16, 16)).save(stream, kind, **options)
    return stream.getvalue()


def pictures(kind: str) -> list[bytes]:
    made = [picture(0, kind), picture(1, kind, optimize=True)]
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


def images(kind: str) -> dict[str, bytes]:
    ending = "png" if kind == "PNG" else "jpg"
    return {f"{LABELS[index]}/{index}.{ending}": picture(index, kind) for index in range(COUNT)}


def zipped(contents: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(contents: Mapping[str, bytes], mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def read_all(source: Any) -> None:
    """Everything that a run reads of data: each input, and what an error calls it."""
    for batch in source.batches(np.arange(len(source)), 8):
        assert len(batch.inputs)
    assert source.entry(len(source) - 1)
    assert len(source.fingerprint) == 64


def read_data(path: Path) -> None:
    read_all(open_data(path, preprocessing=PREPROCESSING))


def read_image(path: Path) -> None:
    """In a folder with a sound one; both are of a class."""
    for name, content in (("0", path.read_bytes()), ("1", picture(0, "PNG"))):
        place = path.with_suffix("") / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"image{path.suffix if name == '0' else '.png'}").write_bytes(content)
    read_data(path.with_suffix(""))


def tables(folder: Path) -> list[bytes]:
    for name, content in images("PNG").items():
        place = folder / "csv-of-images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    names = list(images("PNG"))
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


def idx(values: Any) -> bytes:
    """In the format of MNIST: the number of dimensions, the sizes, the bytes."""
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">i4").tobytes() + values.astype(np.uint8).tobytes()


def read_mnist(path: Path) -> None:
    """As the images or the labels of a set of torchvision's, whose other files are sound."""
    place = path.with_suffix("") / "MNIST" / "raw"
    place.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        for name, values, ending in (("images", IMAGES, ".idx3"), ("labels", LABELS, ".idx1")):
            content = path.read_bytes() if part == "t10k" and path.suffix == ending else idx(values[:COUNT])
            (place / f"{part}-{name}-{ending[1:]}-ubyte").write_bytes(content)
    read_all(open_data(f"torchvision:MNIST?root={path.with_suffix('')}", preprocessing=PREPROCESSING))


def digit_names() -> Any:
    return [str(label) for label in sorted({int(label) for label in LABELS})]


def class_lists() -> list[tuple[str, bytes]]:
    names = digit_names()
    return [
        (".txt", "\n".join(names).encode()),
        (".json", json.dumps(names).encode()),
        (".json", json.dumps({name: index for index, name in enumerate(names)}).encode()),
        (".json", json.dumps({str(i): [f"n{i:08}", name] for i, name in enumerate(names)}).encode()),
        (".yaml", ("names:\n" + "".join(f"  {i}: '{name}'\n" for i, name in enumerate(names))).encode()),
        (".yaml", "".join(f"- '{name}'\n" for name in names).encode()),
    ]


def archive_beside(path: Path) -> Path:
    """The images that a class list or class map is used on."""
    place = path.parent / "images.zip"
    if not place.exists():
        place.write_bytes(zipped(images("PNG")))
    return place


def use_class_list(path: Path) -> None:
    open_data(archive_beside(path), preprocessing=PREPROCESSING, classes=read_classes(path))


def class_maps() -> list[tuple[str, bytes]]:
    names = digit_names()
    return [
        (".yaml", "".join(f"'{name}': {int(name) % 5}\n" for name in names).encode()),
        (".json", json.dumps({name: int(name) for name in names}).encode()),
        (".csv", ("data,model\n" + "".join(f"{name},{name}\n" for name in names)).encode()),
    ]


def use_class_map(path: Path) -> None:
    open_data(archive_beside(path), preprocessing=PREPROCESSING, class_map=read_class_map(path))
