"""Checkpoints of tools for images: torchvision's references, timm, OpenMMLab, detectron2, ultralytics, Swin, DeiT."""

import argparse
import datetime
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
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
    record,
    saved,
    scaler,
    schedule,
    weights,
)


def torchvision_references(folder: Path) -> Written:
    document = {
        "model": weights(),
        "optimizer": optimizer(),
        "lr_scheduler": schedule(),
        "epoch": 89,
        "args": argparse.Namespace(model="resnet8", data_path="/data", norm_weight_decay=None, amp=True),
        "model_ema": {**prefixed(averaged(), "module."), "n_averaged": torch.tensor(400)},
        "scaler": scaler(),
    }
    path = saved(folder / "model_89.pth", document)
    return Written(path, {"model": weights(), "model_ema": averaged()})


def timm_train(folder: Path) -> Written:
    document = {
        "epoch": 299,
        "arch": "resnet8",
        "state_dict": weights(),
        "optimizer": optimizer(),
        "version": 2,
        "args": argparse.Namespace(model="resnet8", mean=(0.5,), aug_splits=0, model_kwargs={}, experiment=""),
        "amp_scaler": scaler(),
        "state_dict_ema": averaged(),
        "metric": 98.3,
    }
    path = saved(folder / "model_best.pth.tar", document)
    return Written(path, {"state_dict": weights(), "state_dict_ema": averaged()})


def timm_clean(folder: Path) -> Written:
    return Written(saved(folder / "resnet8-5c106cde.pth", OrderedDict(averaged())), {"": averaged()})


def timm_average(folder: Path) -> Written:
    """What ``avg_checkpoints.py`` writes: averages only of what is floating point."""
    state = {name: value for name, value in averaged().items() if value.is_floating_point()}
    save_file(state, folder / "averaged.safetensors")
    return Written(folder / "averaged.safetensors", {"": state})


def history_buffer(make: Callable[..., Any], package: str) -> Any:
    """An object of mmengine's kind: arrays, and its own functions by their names."""

    def mean(self: Any) -> None: ...

    def current(self: Any) -> None: ...

    kind = make(f"{package}.HistoryBuffer", mean=mean, current=current)
    methods = {"mean": kind.mean, "current": kind.current}
    history = np.array([0.7, 0.5])
    return record(
        kind, _max_length=1000000, _log_history=history, _count_history=np.array([1, 1]), statistics_methods=methods
    )


def mm_classifier(state: State) -> "OrderedDict[str, Tensor]":
    """The names of a classifier with a backbone and a head, around the network as a whole, and its preprocessor."""
    return prefixed(state, "backbone.")


def mmengine_runner(folder: Path) -> Written:
    with absent_packages() as make:
        buffer = history_buffer(make, "mmengine.logging.history_buffer")
        document = {
            "meta": {
                "epoch": 100,
                "iter": 39100,
                "cfg": "model = dict(type='ImageClassifier')\n",
                "seed": 1934,
                "experiment_name": "resnet8_20240517",
                "time": "20240517_120000",
                "mmengine_version": "0.10.4",
                "dataset_meta": {"classes": [str(digit) for digit in range(10)]},
                "hook_msgs": {"best_ckpt": "best.pth"},
            },
            "state_dict": {**mm_classifier(weights()), "data_preprocessor.mean": torch.zeros(1, 1, 1)},
            "message_hub": {
                "log_scalars": OrderedDict({"train/loss": buffer}),
                "runtime_info": OrderedDict(iter=39100, loop_stage="train", last_train=np.float64(0.5)),
                "resumed_keys": OrderedDict({"train/loss": True}),
            },
            "optimizer": optimizer(),
            "param_schedulers": [{"gamma": 0.1, "milestones": {30: 1}, "last_step": 100}],
        }
        path = saved(folder / "epoch_100.pth", document)
    return Written(path, {"state_dict": weights()})


def mmengine_averages(folder: Path) -> Written:
    """With ``EMAHook``, which exchanges the two on saving: ``state_dict`` has the averages."""
    document = {
        "meta": {"epoch": 10, "iter": 100, "cfg": "", "dataset_meta": {"CLASSES": ("0", "1")}},
        "state_dict": mm_classifier(averaged()),
        "message_hub": {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}},
        "ema_state_dict": {**prefixed(mm_classifier(weights()), "module."), "steps": torch.tensor(100)},
    }
    path = saved(folder / "epoch_10.pth", document)
    return Written(path, {"state_dict": averaged(), "ema_state_dict": weights()})


def mmcls(folder: Path) -> Written:
    """With a whole configuration as an object, as mmcv 1 could keep it."""
    with absent_packages() as make:
        items = make("mmcv.utils.config.ConfigDict", dict)(type="ImageClassifier", backbone={"type": "ResNet"})
        config = record(make("mmcv.utils.config.Config"), _cfg_dict=items, _filename="resnet8.py", _text="model = ...")
        document = {
            "meta": {"mmcls_version": "0.25.0", "CLASSES": tuple("0123456789"), "epoch": 9, "config": config},
            "state_dict": mm_classifier(weights()),
            "optimizer": optimizer(),
        }
        path = saved(folder / "latest.pth", document)
    return Written(path, {"state_dict": weights()})


def detectron2(folder: Path) -> Written:
    document = {
        "model": prefixed(weights(), "backbone.bottom_up."),
        "optimizer": optimizer(),
        "scheduler": {"last_epoch": 90000, "base_lrs": [0.02]},
        "iteration": 89999,
    }
    return Written(saved(folder / "model_final.pth", document), {"model": weights()})


def detectron2_arrays(folder: Path) -> Written:
    """A file of its model zoo: a plain pickle of numpy arrays."""
    state = {name: value.numpy() for name, value in weights().items()}
    document = {"model": state, "__author__": "torchvision", "matching_heuristics": True}
    (folder / "R-8.pkl").write_bytes(pickle.dumps(document, protocol=4))
    return Written(folder / "R-8.pkl", {"model": weights()})


def yolo(make: Callable[..., Any], state: State, name: str) -> nn.Module:
    """A network as ultralytics keeps it: in half precision, within its task's class, with what that knows."""
    task: nn.Module = make(name, nn.Module)()
    task.model = network(state)
    task.names, task.stride, task.task = {0: "0", 1: "1"}, torch.tensor([1.0]), "classify"
    task.yaml = {"nc": 10, "backbone": [[-1, 1, "Conv", [64, 3, 2]]]}
    return task.half()


def halved(state: State) -> State:
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}


def ultralytics_training(folder: Path) -> Written:
    with absent_packages() as make:
        document = {
            "epoch": 12,
            "best_fitness": np.float64(0.97),
            "model": None,
            "ema": yolo(make, averaged(), "ultralytics.nn.tasks.ClassificationModel"),
            "updates": 1200,
            "optimizer": optimizer(),
            "train_args": {"task": "classify", "imgsz": 64, "project": None},
            "train_metrics": {"metrics/accuracy_top1": 0.98, "fitness": 0.97},
            "train_results": {"epoch": [1, 2], "train/loss": [0.7, 0.5]},
            "date": datetime.datetime(2024, 5, 17, tzinfo=datetime.UTC).isoformat(),
            "version": "8.2.0",
        }
        path = saved(folder / "last.pt", document)
    return Written(path, {"ema": halved(averaged())})


def ultralytics_stripped(folder: Path) -> Written:
    with absent_packages() as make:
        model = yolo(make, averaged(), "ultralytics.nn.tasks.ClassificationModel")
        document = {"epoch": -1, "model": model, "ema": None, "optimizer": None, "updates": None}
        path = saved(folder / "best.pt", document)
    return Written(path, {"model": halved(averaged())})


def yolov5(folder: Path) -> Written:
    """Before it was stripped: two whole networks, and a time as an object."""
    with absent_packages() as make:
        document = {
            "epoch": 3,
            "best_fitness": np.array([0.97]),
            "model": yolo(make, weights(), "models.yolo.ClassificationModel"),
            "ema": yolo(make, averaged(), "models.yolo.ClassificationModel"),
            "updates": 30,
            "opt": {"epochs": 10, "save_dir": Path("runs/train-cls/exp")},
            "date": datetime.datetime(2023, 1, 2, tzinfo=datetime.UTC),
        }
        path = saved(folder / "best.pt", document)
    return Written(path, {"model": halved(weights()), "ema": halved(averaged())})


def swin(folder: Path) -> Written:
    with absent_packages() as make:
        node = make("yacs.config.CfgNode", dict)
        config = node(MODEL=node(TYPE="swin", NUM_CLASSES=10), TRAIN=node(BASE_LR=0.001))
        config.__dict__.update(__immutable__=True, __deprecated_keys__=set(), __renamed_keys__={})
        document = {
            "model": weights(),
            "optimizer": optimizer(),
            "lr_scheduler": schedule(),
            "max_accuracy": 98.2,
            "scaler": scaler(),
            "epoch": 299,
            "config": config,
        }
        path = saved(folder / "ckpt_epoch_299.pth", document)
    return Written(path, {"model": weights()})


def deit(folder: Path) -> Written:
    document = {
        "model": weights(),
        "optimizer": optimizer(),
        "epoch": 299,
        "model_ema": averaged(),
        "scaler": scaler(),
        "args": argparse.Namespace(output_dir=Path("out"), device="cuda", distributed=True, lr=5e-4),
    }
    return Written(saved(folder / "best_checkpoint.pth", document), {"model": weights(), "model_ema": averaged()})


LAYOUTS: dict[str, Layout] = {
    "torchvision: references": torchvision_references,
    "timm: train.py": timm_train,
    "timm: clean_checkpoint.py": timm_clean,
    "timm: avg_checkpoints.py": timm_average,
    "mmengine: runner": mmengine_runner,
    "mmengine: EMAHook": mmengine_averages,
    "mmcls 0.x": mmcls,
    "detectron2: .pth": detectron2,
    "detectron2: .pkl of arrays": detectron2_arrays,
    "ultralytics: training": ultralytics_training,
    "ultralytics: stripped": ultralytics_stripped,
    "YOLOv5: classification": yolov5,
    "Swin: yacs configuration": swin,
    "DeiT": deit,
}
