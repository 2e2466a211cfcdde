"""Checkpoints of trainers: Lightning, ignite, fastai, accelerate, composer, catalyst, skorch, poutyne, fairseq."""

import argparse
import functools
import random
import typing
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from tests.builders.layouts.layout import (
    Layout,
    Written,
    absent_packages,
    averaged,
    initial,
    network,
    optimizer,
    prefixed,
    record,
    saved,
    scaler,
    schedule,
    weights,
)


def lightning(**entries: Any) -> dict[str, Any]:
    """What every checkpoint of Lightning 2 has, with other entries."""
    progress = {
        "total": {"ready": 40, "completed": 40},
        "current": {"ready": 40, "completed": 40},
        "is_last_batch": True,
    }
    fit = {"state_dict": {}, "epoch_loop.state_dict": {"_batches_that_stepped": 40}, "epoch_progress": progress}
    best = {"monitor": "val/loss", "best_model_score": torch.tensor(0.1), "best_model_path": "/runs/epoch=3.ckpt"}
    return {
        "epoch": 3,
        "global_step": 40,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": prefixed(weights(), "net."),
        "loops": {"fit_loop": fit, "validate_loop": {"state_dict": {}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val/loss', 'mode': 'min'}": {**best, "kth_value": torch.tensor(0.2)}
        },
        "optimizer_states": [optimizer()],
        "lr_schedulers": [schedule()],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "betas": (0.9, 0.999)},
        **entries,
    }


def lightning_1(folder: Path) -> Written:
    """As versions before 1.5 wrote it: hyperparameters and callbacks as objects and classes."""
    with absent_packages() as make:
        attributes = make("pytorch_lightning.utilities.parsing.AttributeDict", dict)
        checkpoint = make("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint")
        stopping = make("pytorch_lightning.callbacks.early_stopping.EarlyStopping")
        document = {
            "epoch": 3,
            "global_step": 40,
            "pytorch-lightning_version": "1.2.10",
            "state_dict": prefixed(weights(), "model."),
            "callbacks": {
                checkpoint: {"best_model_score": torch.tensor(0.1), "dirpath": Path("runs"), "best_model_path": ""},
                stopping: {"wait_count": 2, "stopped_epoch": 0, "patience": 3},
            },
            "optimizer_states": [optimizer()],
            "lr_schedulers": [],
            "native_amp_scaling_state": scaler(),
            "hparams_name": "hparams",
            "hyper_parameters": attributes(lr=0.1, args=argparse.Namespace(gpus=1)),
        }
        path = saved(folder / "epoch=3.ckpt", document)
    return Written(path, {"state_dict": weights()})


def lightning_2(folder: Path) -> Written:
    with absent_packages() as make:
        attributes = make("lightning.fabric.utilities.data.AttributeDict", dict)
        document = lightning(
            hyper_parameters=attributes(lr=0.1, criterion=nn.CrossEntropyLoss(), out=Path("runs")),
            datamodule_hparams_name="kwargs",
            datamodule_hyper_parameters={"batch_size": 64, "root": Path("/data")},
            MixedPrecision=scaler(),
        )
        path = saved(folder / "last.ckpt", document)
    return Written(path, {"state_dict": weights()})


def lightning_metrics(folder: Path) -> Written:
    """The module has a weighted loss and metrics, whose buffers lie beside the network's entries."""
    state = {
        **prefixed(weights(), "model."),
        "criterion.weight": torch.ones(10),
        "val_acc.tp": torch.zeros(10, dtype=torch.long),
        "val_acc.fp": torch.zeros(10, dtype=torch.long),
        "val_auroc.confmat": torch.zeros(200, 10, 2, 2, dtype=torch.long),
    }
    return Written(saved(folder / "metrics.ckpt", lightning(state_dict=state)), {"state_dict": weights()})


def lightning_hydra(folder: Path) -> Written:
    """As with lightning-hydra-template, whose hyperparameters hold the network, untrained, and unfinished calls."""
    with absent_packages() as make:
        net = network(initial())
        net.__class__ = make("src.models.components.resnet.ResNet", type(net))
        parameters = {
            "optimizer": functools.partial(torch.optim.Adam, lr=0.001, weight_decay=0.0),
            "scheduler": functools.partial(torch.optim.lr_scheduler.ReduceLROnPlateau, mode="min", factor=0.1),
            "net": net,
            "compile": False,
        }
        path = saved(folder / "last.ckpt", lightning(hyper_parameters=parameters))
    return Written(path, {"state_dict": weights()})


def omegaconf(make: Callable[..., Any], values: dict[str, Any]) -> Any:
    """A mapping as omegaconf keeps it: each value a node, each node with what it may hold."""
    metadata = make("omegaconf.base.ContainerMetadata")
    scalar = make("omegaconf.base.Metadata")
    leaf = make("omegaconf.nodes.AnyNode")
    container = make("omegaconf.dictconfig.DictConfig")

    def described(kind: Any, key: str | None, **more: Any) -> Any:
        return record(kind, ref_type=typing.Any, object_type=dict, optional=True, key=key, flags={}, **more)

    whole = record(container, _parent=None, _flags_cache=None)
    whole.__dict__["_metadata"] = described(
        metadata, None, key_type=typing.Any, element_type=typing.Any, resolver_cache=defaultdict(dict)
    )
    whole.__dict__["_content"] = {
        key: record(leaf, _parent=whole, _metadata=described(scalar, key), _val=value) for key, value in values.items()
    }
    return whole


def lightning_omegaconf(folder: Path) -> Written:
    with absent_packages() as make:
        config = omegaconf(make, {"lr": 0.1, "name": "resnet8", "widths": None})
        document = lightning(hyper_parameters=config, hparams_type=type(config))
        path = saved(folder / "epoch=3.ckpt", document)
    return Written(path, {"state_dict": weights()})


def lightning_weight_averaging(folder: Path) -> Written:
    """With ``WeightAveraging``, which puts the averages where the weights were."""
    document = lightning(
        state_dict=prefixed(averaged(), "net."),
        current_model_state=prefixed(weights(), "net."),
        averaging_state={"n_averaged": torch.tensor(30)},
    )
    path = saved(folder / "averaged.ckpt", document)
    return Written(path, {"state_dict": averaged(), "current_model_state": weights()})


def lightning_ema_callback(folder: Path) -> Written:
    states = {"EMA": {"decay": 0.999, "cur_step": 40, "ema_weights": prefixed(averaged(), "net.")}}
    path = saved(folder / "ema.ckpt", lightning(callbacks=states))
    return Written(path, {"state_dict": weights(), "callbacks.EMA.ema_weights": averaged()})


def lightning_compiled(folder: Path) -> Written:
    document = lightning(state_dict=prefixed(weights(), "module.net._orig_mod."))
    return Written(saved(folder / "compiled.ckpt", document), {"state_dict": weights()})


def fabric(folder: Path) -> Written:
    document = {"model": prefixed(weights(), "_forward_module."), "optimizer": optimizer(), "iter_num": 40}
    return Written(saved(folder / "iter-000040.ckpt", document), {"model": weights()})


def ignite(folder: Path) -> Written:
    trainer = OrderedDict(epoch_length=391, max_epochs=24, iteration=9384)
    document = {"trainer": trainer, "model": weights(), "optimizer": optimizer(), "lr_scheduler": schedule()}
    path = saved(folder / "training_checkpoint_9384.pt", document)
    return Written(path, {"model": weights()})


def ignite_averages(folder: Path) -> Written:
    document = {"model": prefixed(weights(), "module."), "ema_model": averaged(), "ema_momentum": 0.0002}
    path = saved(folder / "best_checkpoint.pt", document)
    return Written(path, {"model": weights(), "ema_model": averaged()})


def fastai(folder: Path) -> Written:
    with absent_packages() as make:
        hypers = record(make("fastcore.foundation.L"), items=[{"lr": np.float64(0.001), "wd": 0.01, "mom": 0.95}])
        state = [{"grad_avg": torch.zeros(16, 1, 3, 3), "step": 40}, {}]
        path = saved(folder / "stage-1.pth", {"model": weights(), "opt": {"state": state, "hypers": hypers}})
    return Written(path, {"model": weights()})


def accelerate(folder: Path) -> Written:
    save_file(dict(weights()), folder / "model.safetensors", metadata={"format": "pt"})
    return Written(folder / "model.safetensors", {"": weights()})


def hugging_face(folder: Path) -> Written:
    """A classifier of transformers: the network under its kind's name, the loss's weights beside it."""
    state = {**prefixed(weights(), "resnet."), "loss.weight": torch.ones(10)}
    return Written(saved(folder / "pytorch_model.bin", state), {"": weights()})


def composer_state(make: Callable[..., Any], **entries: Any) -> dict[str, Any]:
    """What a checkpoint of composer holds beside the model."""
    metric = make("composer.metrics.metrics.LossMetric", nn.Module)()
    metric.register_buffer("sum_loss", torch.tensor(3.2))
    metric._computed = torch.tensor(0.1)
    duration = record(make("composer.core.time.Time"), _value=10, _unit="ep")
    times = {"epoch": 3, "batch": 40, "total_wct": timedelta(seconds=12), "epoch_wct": timedelta()}
    state = {
        "model": prefixed(weights(), "module."),
        "optimizers": {"DecoupledSGDW": optimizer()},
        "timestamp": {"Timestamp": times},
        "train_metrics": {"LossMetric": metric},
        "max_duration": duration,
        "run_name": "1715-resnet8",
        "rank_zero_seed": 17,
        "schedulers": {"LambdaLR": {"lr_lambdas": [None], "last_epoch": 40}},
        "callbacks": [("SpeedMonitor", {"total_eval_wct": 0.0})],
        "algorithms": [],
        "integrations": {},
        "metadata": {"composer_version": "0.22.0", "device": "gpu", "world_size": 8},
        **entries,
    }
    rng = {
        "python": random.Random(0).getstate(),
        "numpy": np.random.RandomState(0).get_state(),
        "torch": torch.get_rng_state(),
        "cuda": [torch.get_rng_state()],
    }
    return {"state": state, "rng": [rng]}


def composer(folder: Path) -> Written:
    with absent_packages() as make:
        path = saved(folder / "ep3-ba40-rank0.pt", composer_state(make))
    return Written(path, {"state.model": weights()})


def composer_averages(folder: Path) -> Written:
    parameters = prefixed({n: v for n, v in averaged().items() if n in dict(network().named_parameters())}, "module.")
    buffers = prefixed({n: v for n, v in averaged().items() if n in dict(network().named_buffers())}, "module.")
    ema = {"ema_model": {"named_parameters_dict": parameters, "named_buffers_dict": buffers}, "ema_started": True}
    with absent_packages() as make:
        path = saved(folder / "latest-rank0.pt", composer_state(make, algorithms=[("EMA", ema)]))
    return Written(path, {"state.model": weights()})


def catalyst(folder: Path) -> Written:
    metrics: defaultdict[str, dict[str, float]] = defaultdict(dict)
    metrics["valid"] = {"accuracy01": np.float32(0.98), "loss": 0.1}  # type: ignore[dict-item]
    document = {
        "model_state_dict": weights(),
        "criterion_state_dict": nn.CrossEntropyLoss(weight=torch.ones(10)).state_dict(),
        "optimizer_state_dict": optimizer(),
        "scheduler_state_dict": schedule(),
        "epoch_metrics": metrics,
        "stage_key": "train",
        "checkpoint_data": {},
    }
    return Written(saved(folder / "best_full.pth", document), {"model_state_dict": weights()})


def skorch(folder: Path) -> Written:
    return Written(saved(folder / "params.pt", prefixed(weights(), "0.")), {"": weights()})


def poutyne(folder: Path) -> Written:
    return Written(saved(folder / "checkpoint_epoch_3.ckpt", weights(), pickle_protocol=3), {"": weights()})


def fairseq(folder: Path) -> Written:
    document = {
        "args": argparse.Namespace(arch="resnet8", task="image_classification", save_dir=Path("checkpoints")),
        "cfg": None,
        "model": prefixed(weights(), "encoder."),
        "criterion": None,
        "optimizer_history": [{"optimizer_name": "FairseqAdam", "num_updates": 40}],
        "last_optimizer_state": optimizer(),
        "extra_state": {
            "train_iterator": {"epoch": 3},
            "metrics": [(0, "loss", "AverageMeter", {"val": np.array(3.2)})],
        },
    }
    return Written(saved(folder / "checkpoint_best.pt", document), {"model": weights()})


LAYOUTS: dict[str, Layout] = {
    "Lightning 1.2": lightning_1,
    "Lightning 2": lightning_2,
    "Lightning: loss and metrics in the module": lightning_metrics,
    "Lightning: hydra template": lightning_hydra,
    "Lightning: omegaconf": lightning_omegaconf,
    "Lightning: WeightAveraging": lightning_weight_averaging,
    "Lightning: EMA in a callback": lightning_ema_callback,
    "Lightning: DDP and torch.compile": lightning_compiled,
    "Lightning Fabric": fabric,
    "ignite": ignite,
    "ignite: EMAHandler": ignite_averages,
    "fastai: learn.save": fastai,
    "accelerate: model.safetensors": accelerate,
    "transformers: pytorch_model.bin": hugging_face,
    "composer": composer,
    "composer: EMA": composer_averages,
    "catalyst": catalyst,
    "skorch": skorch,
    "poutyne": poutyne,
    "fairseq": fairseq,
}
