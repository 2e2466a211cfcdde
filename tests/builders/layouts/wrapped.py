"""Checkpoints of wrapped networks: DDP, FSDP, torch.compile, DeepSpeed, averages, two networks in one."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tests.builders.layouts.layout import (
    Layout,
    State,
    Written,
    averaged,
    initial,
    network,
    optimizer,
    prefixed,
    saved,
    scaler,
    weights,
)


def in_parts(state: State, word: str) -> "OrderedDict[str, Tensor]":
    """``state`` with ``word`` before the names within each stage and within each of its blocks."""

    def renamed(name: str) -> str:
        parts = name.split(".")
        return ".".join([parts[0], word, parts[1], word, *parts[2:]]) if parts[0].startswith("layer") else name

    return OrderedDict((renamed(name), value) for name, value in state.items())


def compiled(folder: Path) -> Written:
    return Written(saved(folder / "model.pt", prefixed(weights(), "_orig_mod.")), {"": weights()})


def compiled_parallel(folder: Path) -> Written:
    document = {"model": prefixed(weights(), "module._orig_mod."), "optimizer": optimizer(), "iter_num": 2000}
    return Written(saved(folder / "ckpt.pt", document), {"model": weights()})


def compiled_blocks(folder: Path) -> Written:
    document = {"state_dict": in_parts(weights(), "_orig_mod")}
    return Written(saved(folder / "regional.pt", document), {"state_dict": weights()})


def sharded_then_gathered(folder: Path) -> Written:
    """FSDP's full state dict, of which old versions left their own words in the names."""
    state = prefixed(in_parts(weights(), "_fsdp_wrapped_module"), "_fsdp_wrapped_module.")
    return Written(saved(folder / "full.pt", {"model": state, "step": 100}), {"model": weights()})


def activation_checkpointing(folder: Path) -> Written:
    state = in_parts(weights(), "_checkpoint_wrapped_module")
    return Written(saved(folder / "model.pt", state), {"": weights()})


def distributed_checkpoint(folder: Path) -> Written:
    """What ``dcp_to_torch_save`` makes of a folder of shards."""
    document = {"app": {"model": weights(), "optim": optimizer()}}
    return Written(saved(folder / "consolidated.pt", document), {"app.model": weights()})


def deepspeed(folder: Path) -> Written:
    document = {
        "module": weights(),
        "buffer_names": ["bn1.running_mean", "bn1.running_var"],
        "optimizer": None,
        "param_shapes": [OrderedDict((name, value.shape) for name, value in weights().items())],
        "frozen_param_shapes": None,
        "shared_params": OrderedDict(),
        "lr_scheduler": None,
        "sparse_tensor_module_names": set(),
        "skipped_steps": 0,
        "global_steps": 500,
        "dp_world_size": 8,
        "ds_config": {"train_batch_size": 64, "fp16": {"enabled": True}},
        "ds_version": "0.14.2",
    }
    return Written(saved(folder / "mp_rank_00_model_states.pt", document), {"module": weights()})


def apex(folder: Path) -> Written:
    document = {
        "state_dict": prefixed(weights(), "module.1."),
        "optimizer": optimizer(),
        "amp": OrderedDict(loss_scaler0={"loss_scale": 65536.0, "unskipped": 12}),
    }
    return Written(saved(folder / "amp_checkpoint.pt", document), {"state_dict": weights()})


def averaged_model(folder: Path) -> Written:
    model = AveragedModel(network(averaged()))
    model.n_averaged.fill_(12)
    return Written(saved(folder / "swa.pt", model.state_dict()), {"": averaged()})


def stochastic_weight_averaging(folder: Path) -> Written:
    document = {
        "epoch": 161,
        "state_dict": weights(),
        "swa_state_dict": averaged(),
        "swa_n": 12,
        "optimizer": optimizer(),
    }
    path = saved(folder / "checkpoint-161.pt", document)
    return Written(path, {"state_dict": weights(), "swa_state_dict": averaged()})


def averaged_model_beside(folder: Path) -> Written:
    """The ``AveragedModel`` itself beside the weights, pickled whole."""
    document = {"model_state": weights(), "ema": AveragedModel(network(averaged())), "scaler": scaler()}
    return Written(saved(folder / "last.pt", document), {"model_state": weights(), "ema": averaged()})


def ema_pytorch(folder: Path) -> Written:
    state = {
        "initted": torch.tensor(True),
        "step": torch.tensor(1000),
        **prefixed(weights(), "online_model."),
        **prefixed(averaged(), "ema_model."),
    }
    document = {"step": 1000, "model": weights(), "opt": optimizer(), "ema": state, "scaler": scaler()}
    path = saved(folder / "model-10.pt", document)
    return Written(path, {"model": weights(), "ema.online_model": weights(), "ema.ema_model": averaged()})


def ema_pytorch_alone(folder: Path) -> Written:
    state = {"initted": torch.tensor(True), "step": torch.tensor(9), **prefixed(averaged(), "ema_model.")}
    return Written(saved(folder / "ema.pt", state), {"ema_model": averaged()})


def basicsr(folder: Path) -> Written:
    document = {"params": weights(), "params_ema": averaged()}
    return Written(saved(folder / "net_g_latest.pth", document), {"params": weights(), "params_ema": averaged()})


def dino(folder: Path) -> Written:
    document = {
        "student": prefixed(weights(), "module.backbone."),
        "teacher": prefixed(averaged(), "backbone."),
        "optimizer": optimizer(),
        "epoch": 100,
        "dino_loss": {"center": torch.zeros(1, 16)},
    }
    return Written(saved(folder / "checkpoint0100.pth", document), {"student": weights(), "teacher": averaged()})


def moco(folder: Path) -> Written:
    state = {
        **prefixed(weights(), "module.encoder_q."),
        **prefixed(averaged(), "module.encoder_k."),
        "module.queue": torch.zeros(10, 64),
        "module.queue_ptr": torch.zeros(1, dtype=torch.long),
    }
    path = saved(folder / "checkpoint_0199.pth.tar", {"epoch": 200, "arch": "resnet8", "state_dict": state})
    return Written(path, {"state_dict.module.encoder_q": weights(), "state_dict.module.encoder_k": averaged()})


def distillation(folder: Path) -> Written:
    """A small student beside a teacher of other shapes."""
    teacher = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).state_dict()
    state = {**prefixed(teacher, "teacher."), **prefixed(weights(), "student.")}
    document: dict[str, Any] = {"state_dict": state, "initial": initial()["linear.bias"]}
    return Written(saved(folder / "distilled.pt", document), {"state_dict.student": weights()})


LAYOUTS: dict[str, Layout] = {
    "torch.compile": compiled,
    "torch.compile in DDP": compiled_parallel,
    "torch.compile of each block": compiled_blocks,
    "FSDP: full state dict": sharded_then_gathered,
    "activation checkpointing": activation_checkpointing,
    "distributed checkpoint, consolidated": distributed_checkpoint,
    "DeepSpeed: model states": deepspeed,
    "apex": apex,
    "AveragedModel": averaged_model,
    "SWA of Izmailov et al.": stochastic_weight_averaging,
    "AveragedModel pickled beside weights": averaged_model_beside,
    "ema-pytorch beside weights": ema_pytorch,
    "ema-pytorch alone": ema_pytorch_alone,
    "BasicSR": basicsr,
    "DINO: student and teacher": dino,
    "MoCo: query and key": moco,
    "distillation": distillation,
}
