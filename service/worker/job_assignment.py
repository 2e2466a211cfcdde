"""Assigning: from a claimed job's rows to work for an executor."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Row

from calibrate.recipe import Outputs
from service.jobs.attempts import Claim
from service.jobs.resources import JobSettings
from service.settings import Settings
from service.storage import Blobs
from service.worker.assignment import TRIAL, AssignedDataset, AssignedModel, Assignment
from service.worker.executor import Attempt, Work

#: The endings under which a checkpoint keeps its name. None is importable, should a factory be looked up beside it.
CHECKPOINTS = (".pt", ".pth", ".th", ".tar", ".bin", ".safetensors")
#: The file that every job after the check opens.
WEIGHTS = "model.safetensors"


def assign(
    claim: Claim,
    job: Row[Any],
    model: Row[Any] | None,
    dataset: Row[Any] | None,
    trials: Mapping[str, str],
    blobs: Blobs,
    settings: Settings,
) -> Work:
    """What the claimed job is, as work for an executor; its finished passes come with it."""
    files: dict[str, Path] = {f"{key}{TRIAL}": blobs.path(blob) for key, blob in trials.items()}
    assigned_model = None
    if model is not None:
        name = WEIGHTS if model.weights else _checkpoint_name(model.file_name)
        files[name] = blobs.path(model.weights or model.blob)
        assigned_model = AssignedModel(
            file=name,
            architecture=model.architecture,
            architecture_args=model.architecture_args or None,
            preprocessing=model.preprocessing,
            class_names=model.class_names,
        )
    assigned_dataset = None
    if dataset is not None:
        name = _plain(dataset.file_name)
        files[name] = blobs.path(dataset.blob)
        assigned_dataset = AssignedDataset(file=name, class_map=dataset.class_map)
    slot: Literal["cpu", "gpu"] = "cpu" if job.kind == "check" else job.slot
    assignment = Assignment(
        kind=job.kind,
        model=assigned_model,
        dataset=assigned_dataset,
        recipe=job.recipe,
        outputs=Outputs.model_validate(job.outputs),
        settings=JobSettings.model_validate(job.settings),
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


def _checkpoint_name(name: str) -> str:
    plain = _plain(name)
    return plain if plain.lower().endswith(CHECKPOINTS) else f"{plain}.bin"


def _plain(name: str) -> str:
    """``name`` as a file name without surprises; its ending, which says what the file is, stays.

    >>> _plain("../my digits (2).npz")
    'my_digits_2_.npz'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-100:].lstrip("._-") or "file"
