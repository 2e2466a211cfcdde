"""Checkpoints that training scripts write with torch alone."""

import argparse
import datetime
import enum
import random
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.builders.layouts.layout import (
    Layout,
    State,
    Written,
    absent_packages,
    averaged,
    network,
    optimizer,
    prefixed,
    saved,
    scaler,
    schedule,
    weights,
)


def state_dict(folder: Path, **options: Any) -> Written:
    return Written(saved(folder / "model.pth", weights(), **options), {"": weights()})


def legacy(folder: Path) -> Written:
    return state_dict(folder, _use_new_zipfile_serialization=False)


def protocol_4(folder: Path) -> Written:
    return state_dict(folder, pickle_protocol=4)


def protocol_5(folder: Path) -> Written:
    document = {"epoch": 3, "state_dict": weights(), "best": np.float64(0.98), "log": np.arange(6.0).reshape(2, 3)}
    return Written(saved(folder / "model.pt", document, pickle_protocol=5), {"state_dict": weights()})


def before_counts(folder: Path) -> Written:
    """As torch 0.3 wrote it, whose BatchNorm had no ``num_batches_tracked``."""
    state = OrderedDict((name, value) for name, value in weights().items() if not name.endswith("_tracked"))
    document = {"state_dict": prefixed(state, "module."), "best_prec1": 92.6}
    path = saved(folder / "resnet.th", document, _use_new_zipfile_serialization=False)
    return Written(path, {"state_dict": state})


def tutorial(folder: Path) -> Written:
    document = {
        "epoch": 5,
        "model_state_dict": weights(),
        "optimizer_state_dict": optimizer(),
        "loss": torch.tensor(0.4),
    }
    return Written(saved(folder / "checkpoint.tar", document), {"model_state_dict": weights()})


def mixed_precision_recipe(folder: Path) -> Written:
    document = {"model": weights(), "optimizer": optimizer(), "scaler": scaler()}
    return Written(saved(folder / "checkpoint.pt", document), {"model": weights()})


def imagenet_example(folder: Path) -> Written:
    document = {
        "epoch": 90,
        "arch": "resnet8",
        "state_dict": prefixed(weights(), "module."),
        "best_acc1": torch.tensor(98.1),
        "optimizer": optimizer(),
        "scheduler": schedule(),
    }
    return Written(saved(folder / "model_best.pth.tar", document), {"state_dict": weights()})


def pytorch_cifar(folder: Path) -> Written:
    document = {"net": prefixed(weights(), "module."), "acc": 95.47, "epoch": 199}
    return Written(saved(folder / "ckpt.pth", document), {"net": weights()})


def everything(folder: Path) -> Written:
    """Weights beside all that a script of one's own keeps: arguments, generators, paths, times, histories, an enum."""
    with absent_packages() as make:
        settings = make("my_project.config.Settings")
        mode = make("my_project.config.Mode", given=enum.Enum("Mode", {"TRAIN": "train", "TEST": "test"}))
        instance = settings()
        instance.__dict__.update(lr=0.1, mode=mode.TRAIN, out=PurePosixPath("runs/1"))
        history: defaultdict[str, list[float]] = defaultdict(list)
        history["loss"] += [0.7, 0.5]
        document = {
            "model_state": weights(),
            "optimizer_state": optimizer(),
            "args": argparse.Namespace(lr=0.1, data=Path("/data/digits"), device=torch.device("cpu"), seed=None),
            "settings": instance,
            "rng": (random.Random(0).getstate(), np.random.RandomState(0).get_state(), torch.get_rng_state()),
            "started": datetime.datetime(2024, 5, 17, 12, 0, tzinfo=datetime.UTC),
            "took": datetime.timedelta(minutes=5),
            "history": history,
            "confusion": np.eye(10, dtype=np.int64),
            "best_acc": np.float32(0.981),
            "classes": {"a", "b"},
            "loss_fn": nn.CrossEntropyLoss(label_smoothing=0.1),
        }
        path = saved(folder / "last.pt", document)
    return Written(path, {"model_state": weights()})


def early_stopping(folder: Path) -> Written:
    document = {"best": {"epoch": 7, "model_state": weights(), "val_loss": 0.05}, "patience": 10, "counter": 3}
    return Written(saved(folder / "early_stopping.pt", document), {"best.model_state": weights()})


def whole_network(folder: Path, *, parallel: bool = False, **options: Any) -> Written:
    """``torch.save(model)``, of a class that is not at hand."""
    with absent_packages() as make:
        model = network()
        model.__class__ = make("models.resnet.ResNet", type(model))
        path = saved(folder / "model.pt", nn.DataParallel(model) if parallel else model, **options)
    return Written(path, {"": weights()})


def whole_parallel_network(folder: Path) -> Written:
    return whole_network(folder, parallel=True, _use_new_zipfile_serialization=False)


def network_in_a_dictionary(folder: Path) -> Written:
    with absent_packages() as make:
        model = network()
        model.__class__ = make("src.model.Net", type(model))
        path = saved(folder / "best.pt", {"model": model, "epoch": 12, "optimizer": optimizer()})
    return Written(path, {"model": weights()})


def _cast(state: State, dtype: torch.dtype) -> "OrderedDict[str, Tensor]":
    return OrderedDict((name, t.to(dtype) if t.is_floating_point() else t) for name, t in state.items())


def half(folder: Path) -> Written:
    state = _cast(weights(), torch.float16)
    return Written(saved(folder / "model_fp16.pt", {"state_dict": state}), {"state_dict": state})


def bfloat16(folder: Path) -> Written:
    state = _cast(weights(), torch.bfloat16)
    save_file(dict(state), folder / "model.safetensors", metadata={"format": "pt"})
    return Written(folder / "model.safetensors", {"": state})


def mixed(folder: Path) -> Written:
    """Convolutions in bfloat16, normalisation in float32, as autocast-minded scripts convert."""
    lowered = _cast(weights(), torch.bfloat16)
    state = OrderedDict((name, value if "bn" in name else lowered[name]) for name, value in weights().items())
    return Written(saved(folder / "mixed.pt", state), {"": _cast(state, torch.float32)})


def of_a_gpu(folder: Path) -> Written:
    """Storages that say they were on the second GPU."""
    plain = saved(folder / "cpu.pt", {"state_dict": weights(), "epoch": 1})
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(folder / "gpu.pt", "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith("data.pkl"):
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:1")
            target.writestr(zipfile.ZipInfo(member.filename.replace("cpu/", "gpu/", 1)), content)
    return Written(folder / "gpu.pt", {"state_dict": weights()})


def safetensors_file(folder: Path) -> Written:
    save_file(dict(prefixed(weights(), "model.")), folder / "model.safetensors", metadata={"epoch": "3"})
    return Written(folder / "model.safetensors", {"": weights()})


def two_networks(folder: Path) -> Written:
    """Weights and their average under two prefixes of one safetensors file."""
    save_file({**prefixed(weights(), "model."), **prefixed(averaged(), "ema.")}, folder / "both.safetensors")
    return Written(folder / "both.safetensors", {"model": weights(), "ema": averaged()})


LAYOUTS: dict[str, Layout] = {
    "torch: state dict": state_dict,
    "torch: state dict, format before 1.6": legacy,
    "torch: state dict, pickle protocol 4": protocol_4,
    "torch: numpy values beside it, pickle protocol 5": protocol_5,
    "torch: 0.3, DataParallel": before_counts,
    "torch: tutorial's checkpoint": tutorial,
    "torch: mixed precision recipe": mixed_precision_recipe,
    "torch: ImageNet example": imagenet_example,
    "torch: pytorch-cifar": pytorch_cifar,
    "torch: script that keeps everything": everything,
    "torch: best weights of early stopping": early_stopping,
    "torch: whole network": whole_network,
    "torch: whole DataParallel network, before 1.6": whole_parallel_network,
    "torch: whole network in a dictionary": network_in_a_dictionary,
    "torch: float16": half,
    "torch: mixed dtypes": mixed,
    "torch: saved on a GPU": of_a_gpu,
    "safetensors: bfloat16": bfloat16,
    "safetensors: prefix": safetensors_file,
    "safetensors: two networks": two_networks,
}
