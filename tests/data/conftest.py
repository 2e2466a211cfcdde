"""Small data, made by the tests."""

import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Contents = Mapping[str, bytes]


def noise(seed: int, size: tuple[int, int] = (8, 6), image_format: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, image_format)
    return stream.getvalue()


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """An encoded image of noise: ``picture(seed, size=(width, height), image_format="PNG")``."""
    return noise


@pytest.fixture
def pets() -> dict[str, bytes]:
    """Seven images in three class folders; the folders' order is not the order of writing."""
    names = ["dog/b.png", "dog/a.png", "cat/1.png", "cat/2.PNG", "cat/3.png", "ant/x.png", "ant/y.png"]
    return {name: noise(seed) for seed, name in enumerate(names)}


@pytest.fixture
def write_zip(tmp_path: Path) -> Callable[..., Path]:
    """Write contents by name to a zip file."""

    def write(contents: Contents, name: str = "data.zip", method: int = zipfile.ZIP_DEFLATED) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", method) as archive:
            for member, content in contents.items():
                archive.writestr(member, content)
        return tmp_path / name

    return write


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write contents by name to a directory; a name that ends in / is an empty folder."""

    def write(contents: Contents, name: str = "data") -> Path:
        root = tmp_path / name
        root.mkdir()
        for member, content in contents.items():
            path = root / member
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(content)
        return root

    return write
