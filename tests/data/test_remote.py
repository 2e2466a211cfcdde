"""URLs: the same data as the local files, and no secret of the URL in any name or error."""

import io
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch

from calibrate.data import open_data
from calibrate.errors import AfternormError, DataError, UnavailableError, UnsafeInputError, UsageError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

RAW = Preprocessing()
Write = Callable[..., Path]
KINDS = ("data.zip", "data.tar", "data.tgz", "data.npz", "folder", "folder/images.csv")


@pytest.fixture
def local(tmp_path: Path, write_zip: Write, write_folder: Write, pets: dict[str, bytes]) -> Path:
    """A folder with the same data in every form."""
    write_zip(pets)
    root = write_folder(pets, "folder")
    for name in ("data.tar", "data.tgz"):
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
            archive.add(root, "val")
    (root / "images.csv").write_text("path,label\ndog/a.png,0\ncat/1.png,1\n")
    np.savez(tmp_path / "data.npz", x=np.arange(4 * 8 * 6, dtype=np.uint8).reshape(4, 8, 6), y=[0, 1, 2, 0])
    return tmp_path


@pytest.fixture
def memory(local: Path) -> Iterator[str]:
    """The same, in fsspec's memory."""
    filesystem, place = fsspec.filesystem("memory"), f"/{uuid.uuid4()}"
    filesystem.put(str(local), place, recursive=True)
    yield f"memory:/{place}"
    filesystem.rm(place, recursive=True)


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_a_file_larger_than_an_image_may_be_is_refused_by_name(
    local: Path, memory: str, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = f"{memory}/folder" if protocol == "memory" else f"file://{local}/folder"
    largest = max(path.stat().st_size for path in (local / "folder").rglob("*.png"))
    monkeypatch.setattr("calibrate.data.files.loose_files.MAX_BYTES", largest)
    assert len(inputs_of(open_data(folder, preprocessing=RAW)))
    monkeypatch.setattr("calibrate.data.files.loose_files.MAX_BYTES", largest - 1)
    with pytest.raises(UnsafeInputError, match=r"png' in .*folder is larger than the limit"):
        inputs_of(open_data(folder, preprocessing=RAW))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_a_url_gives_what_the_path_gives(local: Path, memory: str, kind: str, protocol: str) -> None:
    url = f"{memory}/{kind}" if protocol == "memory" else f"file://{local}/{kind}"
    there, here = (open_data(data, preprocessing=RAW) for data in (url, local / kind))
    assert there.name == here.name.replace(f"{local / kind}", url)
    assert there.fingerprint == here.fingerprint
    assert there.labels.tolist() == here.labels.tolist()
    assert torch.equal(inputs_of(there), inputs_of(here))


def test_two_passes_at_once(memory: str) -> None:
    for kind in KINDS[:3]:
        source = open_data(f"{memory}/{kind}", preprocessing=RAW)
        passes = [source.batches(np.arange(7), 1) for _ in range(2)]
        for one, other in zip(*passes, strict=True):
            assert torch.equal(one.inputs, other.inputs)


def test_a_hostile_archive_behind_a_url(memory: str, pets: dict[str, bytes], write_zip: Write) -> None:
    content = write_zip(pets | {"../evil.png": b"x"}, "evil.zip").read_bytes()
    fsspec.filesystem("memory").pipe(f"{memory}/evil.zip", content)
    with pytest.raises(UnsafeInputError, match=r"memory://.*evil\.zip.*'\.\./evil\.png'"):
        open_data(f"{memory}/evil.zip", preprocessing=RAW)


@pytest.mark.parametrize("kind", ["data.zip", "data.tar", "folder", "folder/images.csv"])
def test_files_that_go_away(memory: str, kind: str) -> None:
    source = open_data(f"{memory}/{kind}", preprocessing=RAW)
    filesystem = fsspec.filesystem("memory")
    gone = f"{memory}/folder/dog/a.png" if kind.startswith("folder") else f"{memory}/{kind}"
    filesystem.rm(gone)
    with pytest.raises(DataError, match="cannot be read"):
        inputs_of(source)
    if kind.endswith("csv"):
        with pytest.raises(DataError, match=r"'dog/a\.png'.*missing"):
            open_data(f"{memory}/{kind}", preprocessing=RAW)


def test_a_url_of_nothing(memory: str) -> None:
    with pytest.raises(DataError, match=r"memory://.*gone\.zip' does not exist"):
        open_data(f"{memory}/gone.zip", preprocessing=RAW)


def test_an_unknown_protocol_and_a_chain() -> None:
    with pytest.raises(UsageError, match="sss://, a protocol that fsspec does not know"):
        open_data("sss://bucket/data.zip", preprocessing=RAW)
    with pytest.raises(UsageError, match="chains"):
        open_data("simplecache::memory://data.zip", preprocessing=RAW)
    with pytest.raises(UsageError, match="chains"):
        open_data("zip://a.png::memory://data.zip", preprocessing=RAW)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(UnavailableError, match=r"s3://bucket/data\.zip.*s3fs") as error:
        open_data("s3://KEY:SEC/RET@bucket/data.zip?token=TOKEN", preprocessing=RAW)
    assert not any(secret in str(error.value) for secret in ("KEY", "SEC", "RET", "TOKEN"))


class Vault(fsspec.AbstractFileSystem):
    """A filesystem that needs credentials in its URL, and repeats them in every error."""

    protocol = "vault"
    cachable = False
    broken: tuple[str, ...] = ()
    content = b""

    def _fail(self, what: str) -> None:
        if what in self.broken:
            raise RuntimeError("no access to vault://USER:SECRET@host/data.zip?sig=SIGNED")

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        self._fail("info")
        return {"name": path, "size": len(self.content), "type": "file"}

    def isdir(self, path: str) -> bool:
        self._fail("isdir")
        return "folder" in path

    def find(self, path: str, *args: Any, **kwargs: Any) -> list[str]:
        self._fail("find")
        return [f"{path}/cat/a.png"]

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        self._fail("open")
        stream = io.BytesIO(self.content)
        if "read" in self.broken:
            stream.read = lambda *_: self._fail("read")  # type: ignore[assignment,method-assign]
        return stream


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, write_zip: Write, pets: dict[str, bytes]) -> type[Vault]:
    monkeypatch.setattr(Vault, "content", write_zip(pets).read_bytes())
    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "vault", Vault)
    return Vault


URL = "vault://USER:SECRET@host/data.zip?sig=SIGNED"


def test_credentials_are_used_and_not_shown(vault: type[Vault]) -> None:
    source = open_data(URL, preprocessing=RAW)
    assert source.name == "vault://host/data.zip"
    assert "vault://host/data.zip" in source.entry(0)
    assert len(inputs_of(source)) == 7


@pytest.mark.parametrize("broken", ["isdir", "info", "open", "read", "find"])
def test_no_error_shows_credentials(vault: type[Vault], broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vault, "broken", (broken,))
    ending = {"find": "folder", "read": "data.csv"}.get(broken, "data.zip")
    with pytest.raises(AfternormError) as error:
        open_data(URL.replace("data.zip", ending), preprocessing=RAW)
    assert f"vault://host/{ending}" in str(error.value)
    assert not any(secret in str(error.value) for secret in ("USER", "SECRET", "SIGNED"))
    assert error.value.__cause__ is None
