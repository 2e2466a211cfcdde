"""Nothing in a checkpoint is executed, and what is no checkpoint is said to be none."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from calibrate.errors import ModelError, UnsafeInputError
from calibrate.io import read_checkpoint
from tests.builders.hostile_checkpoints import Calls, attacks, bare, old, zipped


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@pytest.mark.parametrize("write", [zipped, old, bare])
@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("attack", ["os.system", "eval", "exec", "getattr", "torch.load"])
def test_code_is_named_and_not_run(tmp_path: Path, marker: Path, write: Any, protocol: int, attack: str) -> None:
    document, wanted = attacks(marker)[attack]
    write(document, tmp_path / "w.pth", protocol)
    with pytest.raises(UnsafeInputError, match=f"asks for [\\w.]*{wanted}, which is code") as caught:
        read_checkpoint(tmp_path / "w.pth")
    assert caught.value.exit_code == 4
    assert "torch.save(model.state_dict(), path)" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [0, 1])
def test_an_attack_in_the_oldest_protocols_is_named(tmp_path: Path, marker: Path, protocol: int) -> None:
    bare(Calls(os.system, f"touch {marker}"), tmp_path / "w.pth", protocol)
    with pytest.raises(UnsafeInputError, match=r"asks for [\w.]*system"):
        read_checkpoint(tmp_path / "w.pth")
    assert not marker.exists()


def test_the_attack_would_have_worked(tmp_path: Path, marker: Path) -> None:
    """Otherwise the tests above would say nothing."""
    pickle.loads(pickle.dumps(Calls(os.system, f"touch {marker}")))
    assert marker.exists()


@pytest.mark.parametrize("instruction", [b"(S'touch %s'\nios\nsystem\n.", b"cos\nsystem\n(S'touch %s'\ntR."])
def test_the_opcodes_that_call_are_not_obeyed(tmp_path: Path, marker: Path, instruction: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("w/data.pkl", instruction % os.fsencode(marker))
        archive.writestr("w/version", "3")
    with pytest.raises(UnsafeInputError, match=r"asks for os\.system"):
        read_checkpoint(tmp_path / "w.pth")
    assert not marker.exists()


def test_a_torchscript_archive_is_code(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
            archive.writestr(f"w/{name}", b"\x80\x02}.")
    with pytest.raises(UnsafeInputError, match="TorchScript"):
        read_checkpoint(tmp_path / "w.pt")


def torch_bytes(*, old_format: bool) -> bytes:
    buffer = io.BytesIO()
    state = {f"layer{i}.weight": torch.randn(20, 20) for i in range(4)}
    torch.save(state, buffer, _use_new_zipfile_serialization=not old_format)
    return buffer.getvalue()


SAFETENSORS = safetensors.torch.save({"a": torch.randn(30), "b": torch.randn(30)})
ZIP, OLD = torch_bytes(old_format=False), torch_bytes(old_format=True)


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("whole", [ZIP, OLD, SAFETENSORS], ids=["zip", "old", "safetensors"])
def test_a_file_that_was_cut_off_is_no_checkpoint(tmp_path: Path, whole: bytes, share: float) -> None:
    (tmp_path / "w.pth").write_bytes(whole[: max(1, int(len(whole) * share))])
    with pytest.raises(ModelError) as caught:
        read_checkpoint(tmp_path / "w.pth")
    assert "again" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"import torch\nmodel = torch.nn.Linear(2, 2)\n",
        b"config\nvalue\nmore of it\n",
        b"<!DOCTYPE html><html><body>404: Not Found</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 5\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x00" * 100,
        b"\x80\x02",
        b"\x80",
        b"PK\x03\x04",
        b"{",
        pickle.dumps({"a": 1}, 2),
        pickle.dumps(["a"], 4),
        "naïve text ".encode() * 3,
    ],
)
def test_what_is_no_checkpoint_is_not_called_unsafe(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.pth"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("length", [0, 3, len(SAFETENSORS), 2**31, 2**63, 2**64 - 1])
def test_a_safetensors_header_of_another_length_than_it_says(tmp_path: Path, length: int) -> None:
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", length) + SAFETENSORS[8:])
    with pytest.raises(ModelError, match="begins as a safetensors file, but is damaged"):
        read_checkpoint(tmp_path / "w.safetensors")


def test_a_safetensors_header_that_points_outside(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[100000],"data_offsets":[0,400000]}}'
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ModelError, match="damaged"):
        read_checkpoint(tmp_path / "w.safetensors")


def test_another_zip_archive_is_no_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("cat/0.jpg", b"picture")
    with pytest.raises(ModelError, match=r"no data\.pkl"):
        read_checkpoint(tmp_path / "w.zip")


def test_a_storage_smaller_than_its_tensor_is_damage(tmp_path: Path) -> None:
    """The pickle says 20×20 numbers, the archive holds eight bytes of them."""
    with zipfile.ZipFile(io.BytesIO(ZIP)) as whole, zipfile.ZipFile(tmp_path / "w.pth", "w") as lying:
        for name in whole.namelist():
            lying.writestr(name, whole.read(name)[:8] if "/data/" in name else whole.read(name))
    with pytest.raises(ModelError, match="neither a safetensors file nor a whole checkpoint"):
        read_checkpoint(tmp_path / "w.pth")
