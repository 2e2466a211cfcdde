"""Writing what a fine-tuning, or a comparison of several, made: weights, result and reports."""

import json
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from calibrate.engine.delivery.files import write_files
from calibrate.engine.finetuning.training import FineTuneOutcome
from calibrate.report import compared_arms_page, fine_tuned_page
from calibrate.result import ComparedArms, FineTuned

WEIGHTS = "finetuned.safetensors"
RESULT = "finetuned.json"


def write_fine_tuned(outcome: FineTuneOutcome, folder: Path) -> tuple[Path, ...]:
    """Write ``finetuned.safetensors``, ``finetuned.json`` and the reports into ``folder``, each whole."""
    page = fine_tuned_page(outcome.result)
    files = {
        WEIGHTS: _weights(outcome.model, outcome.result),
        "report.txt": page.text().encode(),
        "report.md": page.markdown().encode(),
        "report.html": page.html().encode(),
        RESULT: outcome.result.model_dump_json(indent=2).encode(),
    }
    write_files(folder, files)
    return tuple(folder / name for name in files)


def write_compared_arms(result: ComparedArms, folder: Path) -> tuple[Path, ...]:
    """Write ``comparison.json`` and the reports into ``folder``, each whole."""
    page = compared_arms_page(result)
    files = {
        "comparison.txt": page.text().encode(),
        "comparison.md": page.markdown().encode(),
        "comparison.html": page.html().encode(),
        "comparison.json": result.model_dump_json(indent=2).encode(),
    }
    write_files(folder, files)
    return tuple(folder / name for name in files)


def _weights(model: nn.Module, result: FineTuned) -> bytes:
    """The weights, which open with their architecture; a tied tensor stands under each of its names."""
    entries = model.state_dict().items()
    state = {name: value.detach().clone().contiguous() for name, value in entries if isinstance(value, Tensor)}
    origin = {
        "architecture": result.model.architecture,
        "architecture_args": json.dumps(result.model.architecture_args),
        "classes": json.dumps(result.data.classes),
        "recipe": result.recipe.canonical,
        "result_digest": result.digest,
    }
    return bytes(safetensors.torch.save(state, origin))
