"""``afternorm doctor``: is everything here that a run needs?"""

import json
import platform

from calibrate.cli import options
from calibrate.cli.console import say
from calibrate.errors import UnavailableError

NEEDED = (
    "afternorm",
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "scikit-learn",
    "timm",
)


def doctor_command(as_json: options.AsJson = False) -> None:
    """Report versions, devices and ONNX Runtime, and what is missing; exit 5 when something is."""
    import torch

    from calibrate.engine import installed
    from calibrate.export import require_runtime

    missing = []
    try:
        require_runtime()
    except UnavailableError as error:
        missing.append(str(error))
    versions = installed(NEEDED)
    if {"onnxruntime", "onnxruntime-gpu"} <= versions.keys():
        missing.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; uninstall both, then install "
            "one of afternorm[cpu] and afternorm[gpu]."
        )
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    facts = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "threads": torch.get_num_threads(),
        "cuda": gpus,
        "missing": missing,
    }
    if as_json:
        say(json.dumps(facts, indent=2))
    else:
        say(f"Python {facts['python']} on {facts['platform']}, {facts['threads']} CPU threads")
        say("\n".join(f"  {name} {version}" for name, version in versions.items()))
        say(f"CUDA: {', '.join(gpus) or 'none'}")
    if missing:
        raise UnavailableError(" ".join(missing))
    if not as_json:
        say("Everything that a run needs is here.")
