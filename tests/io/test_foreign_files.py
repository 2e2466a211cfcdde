"""Files that are no checkpoints are named by what they are, with what to give instead; none is run."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.torch import load_file, save_file
from torch import nn

from calibrate.errors import ModelError
from calibrate.io import read_checkpoint
from tests.builders.checkpoints import load_

STATE = nn.Linear(3, 2).state_dict()


def onnx_file(path: Path) -> None:
    graph = onnx.helper.make_graph([], "empty", [], [])
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


def index(path: Path) -> None:
    shards = {"weight": "model-00001-of-00002.safetensors", "bias": "model-00002-of-00002.safetensors"}
    path.write_text(json.dumps({"metadata": {"total_size": 32}, "weight_map": shards}, indent=2))


def array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "ONNX": (onnx_file, "is an ONNX file, .* give the checkpoint that it was exported from"),
    "index": (index, r"is the index of weights that lie in 2 other files \(model-00001-of-00002\.safetensors, .* join"),
    "configuration": (lambda path: path.write_text('{"hidden": 3}'), "is a JSON document and holds no weights"),
    "array": (array, "is a NumPy array without names"),
    "HDF5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)), "is an HDF5 file"),
    "GGUF": (lambda path: path.write_bytes(b"GGUF" + bytes(64)), "is a GGUF file"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(bytes(64))), "is a compressed file; unpack it"),
    "LFS": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "page": (lambda path: path.write_text("<!DOCTYPE html><html></html>"), "is a web page"),
}


@pytest.mark.parametrize("name", ["w.pth", "model.safetensors.index.json"])
@pytest.mark.parametrize("case", FILES)
def test_what_is_no_checkpoint_is_named_whatever_it_is_called(case: str, name: str, tmp_path: Path) -> None:
    write, said = FILES[case]
    write(tmp_path / name)
    with pytest.raises(ModelError, match=said):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("length", [0x7B, 0x120108, 0x3A0808])
def test_no_safetensors_file_is_taken_for_another(length: int, tmp_path: Path) -> None:
    """Where the length of its header begins as JSON or ONNX does."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode().ljust(length)
    content = length.to_bytes(8, "little") + header + np.float32(3).tobytes()
    (tmp_path / "w.safetensors").write_bytes(content)
    assert read_checkpoint(tmp_path / "w.safetensors").state_dicts[0].tensors["w"].tolist() == [3.0]


def test_one_part_of_several_says_so_and_joined_they_open(tmp_path: Path) -> None:
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for name, key in zip(names, STATE, strict=True):
        save_file({key: STATE[key]}, tmp_path / name)
    with pytest.raises(ModelError, match=r"missing from the file.*part 2 of 2: join all parts in one file"):
        load_(nn.Linear(3, 2), read_checkpoint(tmp_path / names[1]))
    save_file({**load_file(tmp_path / names[0]), **load_file(tmp_path / names[1])}, tmp_path / "w.safetensors")
    load_(nn.Linear(3, 2), read_checkpoint(tmp_path / "w.safetensors"))


def test_deep_json_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_text("[" * 100_000)
    with pytest.raises(ModelError, match="neither a safetensors file nor a whole checkpoint"):
        read_checkpoint(tmp_path / "w.pth")
