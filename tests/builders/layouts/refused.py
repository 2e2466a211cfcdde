"""Files that a user may well hand over as a checkpoint, and that hold no weights of the network that could be read.

Each is refused by a sentence that names what it is.
"""

import json
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import torch
from safetensors.torch import save_file
from torch import nn
from torch.ao import quantization

from tests.builders.layouts.layout import absent_packages, network, optimizer, prefixed, record, saved, weights


def torchscript(folder: Path) -> Path:
    with warnings.catch_warnings(action="ignore"):
        torch.jit.trace(network(), torch.zeros(1, 1, 8, 8)).save(folder / "model.pt")
    return folder / "model.pt"


def onnx_model(folder: Path) -> Path:
    import onnx

    graph = onnx.helper.make_graph([], "digits", [], [])
    onnx.save(onnx.helper.make_model(graph), folder / "model.onnx")
    return folder / "model.onnx"


def fastai_learner(folder: Path) -> Path:
    """``learn.export``: a whole learner, whose network's layers hang in objects of fastai."""
    with absent_packages() as make:
        function = make("fastai.losses.CrossEntropyLossFlat.decodes", given=types.FunctionType(_decodes.__code__, {}))
        learner = record(make("fastai.learner.Learner"), dls=None, loss_func=function, model=None, path=Path())
        return saved(folder / "export.pkl", learner)


def _decodes(x: Any) -> Any:
    return x


def shadow_parameters(folder: Path) -> Path:
    """torch_ema: averages in the order of the parameters, without names."""
    shadow = [value for value in weights().values() if value.is_floating_point()]
    document = {"decay": 0.999, "num_updates": 40, "shadow_params": shadow, "collected_params": None}
    return saved(folder / "ema.pt", document)


def low_rank_adapter(folder: Path) -> Path:
    names = ("lora_A.weight", "lora_B.weight")
    state = {f"base_model.model.layer{i}.0.conv1.{name}": torch.rand(4, 16) for i in (1, 2, 3) for name in names}
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder / "adapter_model.safetensors"


def index_of_shards(folder: Path) -> Path:
    index = {
        "metadata": {"total_size": 312},
        "weight_map": dict.fromkeys(weights(), "model-00001-of-00002.safetensors"),
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder / "model.safetensors.index.json"


def first_shard(folder: Path) -> Path:
    half = dict(list(weights().items())[:20])
    save_file(half, folder / "model-00001-of-00002.safetensors", metadata={"format": "pt"})
    return folder / "model-00001-of-00002.safetensors"


def without_values(folder: Path) -> Path:
    return saved(folder / "meta.pt", {name: value.to("meta") for name, value in weights().items()})


def quantised(folder: Path) -> Path:
    with warnings.catch_warnings(action="ignore"):
        model = network()
        model.qconfig = quantization.get_default_qconfig("fbgemm")  # type: ignore[assignment]
        quantization.prepare(model, inplace=True)
        model(torch.rand(4, 1, 8, 8))
        quantization.convert(model, inplace=True)
        return saved(folder / "int8.pt", model.state_dict())


def by_value(folder: Path) -> Path:
    """A class of a notebook, pickled with its code by cloudpickle, as mlflow does."""
    module = types.ModuleType("notebook")
    sys.modules["notebook"] = module
    try:
        exec(
            "from torch import nn\nclass Net(nn.Linear):\n  def forward(self, x):\n    return super().forward(x)",
            vars(module),
        )
        cloudpickle.register_pickle_by_value(module)
        return saved(folder / "model.pth", module.Net(2, 2), pickle_module=cloudpickle)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules["notebook"]


def optimizer_alone(folder: Path) -> Path:
    return saved(folder / "optimizer.pt", optimizer())


def other_network(folder: Path) -> Path:
    state = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 10)).state_dict()
    return saved(folder / "other.pt", {"state_dict": prefixed(state, "model.")})


#: By what it is: how the file is written, and a word of the sentence that refuses it.
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "TorchScript": (torchscript, "TorchScript"),
    "ONNX": (onnx_model, "model.onnx"),
    "fastai: learn.export": (fastai_learner, "export.pkl"),
    "torch_ema: averages without names": (shadow_parameters, "ema.pt"),
    "LoRA alone": (low_rank_adapter, "lora_A"),
    "index of shards": (index_of_shards, "index.json"),
    "first of two shards": (first_shard, "missing from the file"),
    "tensors without values": (without_values, "no values"),
    "quantised to int8": (quantised, "quant"),
    "cloudpickle with the class's code": (by_value, "code"),
    "optimizer alone": (optimizer_alone, "optimizer.pt"),
    "another network": (other_network, "missing from the file"),
}
