"""Tar archives: the same examples as the zip, in any order of members, plain or compressed."""

import gzip
import io
import random
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from calibrate.data import open_data
from calibrate.data.files import gzip_stream as module
from calibrate.data.files.gzip_stream import MARKS, GzipStream
from calibrate.errors import DataError, UnsafeInputError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

RAW = Preprocessing()
Write = Callable[..., Path]


@pytest.fixture(params=[".tar", ".tar.gz", ".tgz", ".TAR.GZ"])
def write_tar(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Write contents by name to a tar archive, plain or compressed."""

    def write(contents: dict[str, bytes], name: str = "data", **options: int) -> Path:
        path = tmp_path / f"{name}{request.param}"
        with tarfile.open(path, "w" if request.param == ".tar" else "w:gz", **options) as archive:  # type: ignore[call-overload]
            for member, content in contents.items():
                header = tarfile.TarInfo(member)
                header.size = len(content)
                archive.addfile(header, io.BytesIO(content))
        return path

    return write


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_the_same_data_as_the_zip(
    write_tar: Write, write_zip: Write, pets: dict[str, bytes], tar_format: int
) -> None:
    pets = {("long" * 30 + "-" if tar_format != tarfile.USTAR_FORMAT else "") + k: v for k, v in pets.items()}
    of_zip = open_data(write_zip(pets), preprocessing=RAW)
    for order in (list(pets), sorted(pets), sorted(pets, reverse=True)):
        of_tar = open_data(write_tar({f"./{name}": pets[name] for name in order}, format=tar_format), preprocessing=RAW)
        assert of_tar.fingerprint == of_zip.fingerprint
        assert of_tar.labels.tolist() == of_zip.labels.tolist()
        assert of_tar.class_names == of_zip.class_names
        assert torch.equal(inputs_of(of_tar), inputs_of(of_zip))


def test_a_tar_of_a_real_folder_with_its_folder_members(
    write_folder: Write, pets: dict[str, bytes], tmp_path: Path
) -> None:
    root = write_folder(pets | {"bee/": b""})
    with tarfile.open(tmp_path / "made.tar", "w") as archive:
        archive.add(root, ".")
    of_tar, of_folder = (open_data(place, preprocessing=RAW) for place in (tmp_path / "made.tar", root))
    assert of_tar.class_names == of_folder.class_names == ("ant", "bee", "cat", "dog")
    assert of_tar.fingerprint == of_folder.fingerprint
    assert [finding.code for finding in of_tar.findings] == ["folders-empty"]


def test_some_examples_only(write_tar: Write, pets: dict[str, bytes]) -> None:
    source = open_data(write_tar(pets), preprocessing=RAW)
    (batch,) = source.batches(np.array([5, 1]), 4)
    assert torch.equal(batch.inputs, inputs_of(source)[[1, 5]])


def test_an_archive_that_changes_between_passes(write_tar: Write, picture: Callable[..., bytes]) -> None:
    path = write_tar({"cat/a.png": picture(0)})
    source = open_data(path, preprocessing=RAW)
    inputs_of(source)
    write_tar({"cat/a.png": picture(1)})
    with pytest.raises(DataError, match=r"'cat/a.png'.*has changed"):
        inputs_of(source)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        inputs_of(source)


def test_damage_anywhere_in_plain_content_is_an_error_or_other_data(write_tar: Write, pets: dict[str, bytes]) -> None:
    path = write_tar(pets)
    content = path.read_bytes()
    print_before = open_data(path, preprocessing=RAW).fingerprint
    places = np.random.default_rng(0)
    messages = []
    for place in places.integers(0, len(content), 150):
        damaged = bytearray(content)
        damaged[place] ^= int(places.integers(1, 256))
        path.write_bytes(damaged)
        try:
            source = open_data(path, preprocessing=RAW)
            inputs_of(source)
        except (DataError, UnsafeInputError) as error:
            messages.append(str(error))
        else:  # padding, a date, an owner: nothing that belongs to the data
            assert source.fingerprint != print_before or len(source) == len(pets)
    assert messages
    assert all(str(path) in message for message in messages)


def test_gzip_is_read_from_any_place_like_the_original_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPACING", 5000)
    content = np.random.default_rng(0).integers(0, 4, 1_500_000, dtype=np.uint8).tobytes()
    packed = gzip.compress(content[:600_000], 1) + gzip.compress(content[600_000:], 1) + bytes(100)
    first = GzipStream(io.BytesIO(packed))
    assert first.read(len(content) + 1) == content
    assert first.tell() == len(content)
    assert 2 < len(first.marks) <= MARKS
    dice = random.Random(0)
    for stream in (first, GzipStream(io.BytesIO(packed), first.marks)):
        for _ in range(40):
            place, size = dice.randrange(len(content)), dice.choice([0, 1, 1000, 200_000])
            stream.seek(place)
            assert stream.read(size) == content[place : place + size]


def test_a_pass_holds_little_of_a_compressed_archive(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    names = [f"c{number % 4}/{number:03}.png" for number in range(120)]
    random.Random(0).shuffle(names)
    content = picture(0, (8, 6)) + bytes(400_000)  # what follows an image's end is not looked at
    with tarfile.open(tmp_path / "data.tgz", "w:gz", compresslevel=1) as archive:
        for name in names:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    tracemalloc.start()
    try:
        source = open_data(tmp_path / "data.tgz", preprocessing=RAW)
        for _ in source.batches(np.arange(len(source)), 4):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(names) * len(content) / 3
