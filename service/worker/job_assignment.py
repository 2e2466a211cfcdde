"""From the rows of a claimed job to the work that an executor runs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Row

from calibrate.recipe import GraphOptions, Outputs, Recipe
from calibrate.request import ExportRequest, RunRequest
from service.jobs.attempts import Claim, JobInputs
from service.settings import Settings
from service.storage import Blobs
from service.worker.assignment import TRIAL, Assignment, DatasetCheck, ModelCheck
from service.worker.executor import Attempt, Work

#: The suffixes with which a checkpoint keeps its name. Python imports none of them.
CHECKPOINTS = (".pt", ".pth", ".th", ".tar", ".bin", ".safetensors")
#: The model's file in every job but its check.
WEIGHTS = "model.safetensors"


def assign(
    claim: Claim,
    job: Row[Any],
    inputs: JobInputs,
    trials: Mapping[str, str],
    blobs: Blobs,
    settings: Settings,
) -> Work:
    """The work of a claimed job, with the passes that earlier attempts finished.

    Raises ValueError for rows that are not a valid job.
    """
    files: dict[str, Path] = {f"{key}{TRIAL}": blobs.path(blob) for key, blob in trials.items()}
    slot: Literal["cpu", "gpu"] = "cpu" if job.kind == "check" else job.slot
    assignment = Assignment(
        request=_check(inputs, files, blobs) if job.kind == "check" else _request(job, inputs, files, blobs),
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


def _check(inputs: JobInputs, files: dict[str, Path], blobs: Blobs) -> ModelCheck | DatasetCheck:
    """The check of a new model or dataset; its file is added to ``files``."""
    if (model := inputs.model) is None:
        if inputs.dataset is None:
            raise ValueError("a check has neither a model nor a dataset")
        dataset = inputs.dataset
        return DatasetCheck(data=_add_data(dataset, files, blobs), split=dataset.split, skip_broken=dataset.skip_broken)
    name = _checkpoint_name(model.file_name)
    files[name] = blobs.path(model.blob)
    return ModelCheck(
        checkpoint=Path(name),
        architecture=model.architecture,
        architecture_args=model.architecture_args or None,
        weights=model.asked_weights,
    )


def _request(job: Row[Any], inputs: JobInputs, files: dict[str, Path], blobs: Blobs) -> RunRequest | ExportRequest:
    """The request of a job other than a check; the files that it names are added to ``files``."""
    model, dataset, training = inputs.model, inputs.dataset, inputs.training_dataset
    if model is None:
        raise ValueError(f"the {job.kind} job has no model")
    files[WEIGHTS] = blobs.path(model.weights or model.blob)
    given = {
        "model": WEIGHTS,
        "architecture": model.architecture,
        "architecture_args": model.architecture_args or None,
        "classes": model.class_names or None,
        "class_map": dataset.class_map if dataset is not None else None,
        "split": dataset.split if dataset is not None else None,
        "skip_broken": dataset.skip_broken if dataset is not None else 0,
        "preprocessing": model.preprocessing,
        "data": _add_data(dataset, files, blobs) if dataset is not None else None,
    }
    if job.kind == "export":
        form = Outputs.model_validate(job.outputs).model_dump(include=set(GraphOptions.model_fields))
        return ExportRequest.model_validate({**given, **form, "threads": job.settings["threads"]})
    recipe = Recipe.model_validate(job.recipe)
    writes = job.kind == "calibrate" or (job.kind == "adapt" and any(step.adapts for step in recipe.steps))
    return RunRequest.model_validate(
        {
            **given,
            "training_data": _add_data(training, files, blobs) if training is not None else None,
            "training_split": training.split if training is not None else None,
            "training_skip_broken": training.skip_broken if training is not None else None,
            "recipe": recipe,
            "outputs": job.outputs if writes else Outputs(formats=()),
            "settings": job.settings,
        }
    )


def _add_data(dataset: Row[Any], files: dict[str, Path], blobs: Blobs) -> str:
    """Add the data to ``files``; the name for the child, changed where another file has it."""
    name, path = _plain(dataset.file_name), blobs.path(dataset.blob)
    while files.get(name, path) != path:
        name = f"other-{name}"
    files[name] = path
    return name


def _checkpoint_name(name: str) -> str:
    plain = _plain(name)
    return plain if plain.lower().endswith(CHECKPOINTS) else f"{plain}.bin"


def _plain(name: str) -> str:
    """``name`` reduced to a safe file name; its suffix, which gives the file's type, stays.

    >>> _plain("../my digits (2).npz")
    'my_digits_2_.npz'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-100:].lstrip("._-") or "file"
