"""The demo's network and data as the options of a command and as a manifest, and how a command ended."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING, DemoInputs

#: The options that say what network the demo's checkpoint is of, and how its images become input.
NETWORK = ("--architecture", ARCHITECTURE, "--architecture-args", json.dumps(ARCHITECTURE_ARGS))
SHAPE = ("--preprocessing", PREPROCESSING.model_dump_json())


class Ran:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


def demo_options(inputs: DemoInputs, data: Path | None = None) -> tuple[str, ...]:
    """The demo's network, and its scanned digits or other ``data`` of their kind."""
    return ("--model", str(inputs.checkpoint), *NETWORK, "--data", str(data or inputs.scanned), *SHAPE)


def write_manifest(
    path: Path,
    models: Mapping[str, str],
    datasets: Mapping[str, str],
    recipes: Mapping[str, Any],
    formats: tuple[str, ...] = ("safetensors",),
) -> Path:
    """A manifest of checkpoints of the demo's network and of data like the demo's."""
    network = {"architecture": ARCHITECTURE, "architecture_args": ARCHITECTURE_ARGS}
    shape = PREPROCESSING.model_dump(mode="json")
    document = {
        "models": {name: {"model": model, **network} for name, model in models.items()},
        "datasets": {name: {"data": data, "preprocessing": shape} for name, data in datasets.items()},
        "recipes": recipes,
        "outputs": {"formats": formats},
        "settings": {"threads": 1, "device": "cpu"},
    }
    path.write_text(json.dumps(document))
    return path
