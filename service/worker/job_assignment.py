"""Assigning: from a claimed job's rows to work for an executor."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Row

from calibrate.recipe import Outputs, Recipe
from calibrate.request import ExportRequest, RunRequest
from service.jobs.attempts import Claim, Materials
from service.settings import Settings
from service.storage import Blobs
from service.worker.assignment import TRIAL, Assignment, DatasetCheck, ModelCheck
from service.worker.executor import Attempt, Work

#: The endings under which a checkpoint keeps its name. None is importable, should a factory be looked up beside it.
CHECKPOINTS = (".pt", ".pth", ".th", ".tar", ".bin", ".safetensors")
#: The file that every job after the check opens.
WEIGHTS = "model.safetensors"


def assign(
    claim: Claim,
    job: Row[Any],
    materials: Materials,
    trials: Mapping[str, str],
    blobs: Blobs,
    settings: Settings,
) -> Work:
    """What the claimed job is, as work for an executor; its finished passes come with it.

    Raises ValueError for rows that make no job.
    """
    files: dict[str, Path] = {f"{key}{TRIAL}": blobs.path(blob) for key, blob in trials.items()}
    slot: Literal["cpu", "gpu"] = "cpu" if job.kind == "check" else job.slot
    assignment = Assignment(
        request=_check(materials, files, blobs) if job.kind == "check" else _request(job, materials, files, blobs),
        slot=slot,
        factories=settings.factories,
        memory_bytes=settings.memory_bytes,
        file_bytes=settings.file_bytes,
    )
    return Work(
        attempt=Attempt(claim.job, claim.attempt),
        document=assignment.model_dump(mode="json"),
        files=files,
        slot=slot,
        timeout_seconds=min(job.timeout_seconds, settings.timeout_seconds),
    )


def _check(materials: Materials, files: dict[str, Path], blobs: Blobs) -> ModelCheck | DatasetCheck:
    """The check of a new model or dataset; its file is added to ``files``."""
    if (model := materials.model) is None:
        if materials.dataset is None:
            raise ValueError("a check has neither a model nor a dataset")
        return DatasetCheck(data=_add_data(materials.dataset, files, blobs))
    name = _checkpoint_name(model.file_name)
    files[name] = blobs.path(model.blob)
    return ModelCheck(
        checkpoint=Path(name), architecture=model.architecture, architecture_args=model.architecture_args or None
    )


def _request(job: Row[Any], materials: Materials, files: dict[str, Path], blobs: Blobs) -> RunRequest | ExportRequest:
    """The request of a job that is no check; the files that it names are added to ``files``."""
    model, dataset, training = materials.model, materials.dataset, materials.training_dataset
    if model is None:
        raise ValueError(f"the {job.kind} job has no model")
    files[WEIGHTS] = blobs.path(model.weights or model.blob)
    given = {
        "model": WEIGHTS,
        "architecture": model.architecture,
        "architecture_args": model.architecture_args or None,
        "classes": model.class_names or None,
        "class_map": dataset.class_map if dataset is not None else None,
        "preprocessing": model.preprocessing,
        "data": _add_data(dataset, files, blobs) if dataset is not None else None,
    }
    if job.kind == "export":
        return ExportRequest.model_validate({**given, "threads": job.settings["threads"]})
    recipe = Recipe.model_validate(job.recipe)
    writes = job.kind == "calibrate" or (job.kind == "adapt" and any(step.kind == "adapt" for step in recipe.steps))
    return RunRequest.model_validate(
        {
            **given,
            "training_data": _add_data(training, files, blobs) if training is not None else None,
            "recipe": recipe,
            "outputs": job.outputs if writes else Outputs(formats=()),
            "settings": job.settings,
        }
    )


def _add_data(dataset: Row[Any], files: dict[str, Path], blobs: Blobs) -> str:
    """The name under which the child finds the data; another file of that name keeps it."""
    name, path = _plain(dataset.file_name), blobs.path(dataset.blob)
    while files.get(name, path) != path:
        name = f"other-{name}"
    files[name] = path
    return name


def _checkpoint_name(name: str) -> str:
    plain = _plain(name)
    return plain if plain.lower().endswith(CHECKPOINTS) else f"{plain}.bin"


def _plain(name: str) -> str:
    """``name`` as a file name without surprises; its ending, which says what the file is, stays.

    >>> _plain("../my digits (2).npz")
    'my_digits_2_.npz'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-100:].lstrip("._-") or "file"
