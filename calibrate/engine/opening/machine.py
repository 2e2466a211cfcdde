"""The environment: what the numbers of a run depend on besides its inputs."""

import platform
from importlib import metadata
from typing import Any

import torch

from calibrate.engine.passes.setting import Setting
from calibrate.errors import UnavailableError, require_kind
from calibrate.result import Environment

#: Distributions whose versions are recorded, where installed.
RECORDED = ("torch", "torchvision", "numpy", "pillow", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu")


def environment(setting: Setting) -> Environment:
    """The present environment, and how passes are made in it."""
    return Environment(
        **machine_facts(setting.device),
        threads=torch.get_num_threads(),
        batch_size=setting.batch_size,
        channels_last=setting.form.channels_last,
        folds=setting.form.folds,
        autocast=setting.autocast,
    )


def machine_facts(device: torch.device) -> dict[str, Any]:
    """The software here and the device, as an environment names them."""
    return {
        "afternorm": metadata.version("afternorm"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": installed(RECORDED),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def installed(distributions: tuple[str, ...]) -> dict[str, str]:
    """The versions of those of ``distributions`` that are installed."""
    versions = {}
    for name in distributions:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def find_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is the first CUDA GPU where there is one, else the CPU."""
    require_kind(name, str, "device", "auto, cpu, cuda or cuda:1")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UnavailableError(
            f"the device {name!r} cannot be used here ({reason}); use cpu or auto, or see `afternorm doctor`."
        ) from None
    return device
