"""Submitting a job: validation beyond the request's schema, and idempotency."""

import hashlib
from typing import Any

from sqlalchemy import Connection

from calibrate.recipe import PRESETS, Recipe, words_of_training_data_use
from service.datasets import store as datasets
from service.errors import ConflictError, InvalidError
from service.jobs import idempotency, store
from service.jobs.kinds import DEFAULT_RECIPE, PERMITTED, WITH_DATA, forbidden_steps
from service.jobs.resources import Job, JobRequest
from service.models import store as models
from service.settings import Settings


def submit(connection: Connection, request: JobRequest, settings: Settings, key: str | None) -> tuple[Job, bool]:
    """Queue the job; returns it and whether it is new. A repeated Idempotency-Key returns the job of its first use."""
    digest = _digest(request)
    earlier = key and idempotency.job_of(connection, key, digest)
    if earlier:
        return store.get(connection, earlier), False
    recipe = recipe_of(request)
    _check_inputs(connection, request)
    _check_training(request, recipe)
    if recipe is not None:
        _check_labels(connection, request, recipe)
    if request.settings.device == "cuda" and settings.gpu_slots == 0:
        raise InvalidError(
            "settings.device is 'cuda', and this server has no GPU slots; leave it at 'cpu'.",
            [("settings.device", "this server has no GPU slots")],
        )
    identity = store.add(
        connection,
        kind=request.kind,
        model=request.model,
        dataset=request.dataset,
        training_dataset=request.training_dataset,
        recipe=recipe and recipe.model_dump(mode="json"),
        recipe_digest=recipe and recipe.digest,
        outputs=request.outputs.model_dump(mode="json"),
        settings=request.settings.model_dump(mode="json"),
        slot="gpu" if request.settings.device == "cuda" else "cpu",
        timeout_seconds=min(request.timeout_seconds or settings.timeout_seconds, settings.timeout_seconds),
    )
    if key:
        idempotency.store_key(connection, key, digest, identity)
    return store.get(connection, identity), True


def _digest(request: JobRequest) -> str:
    """SHA-256 of the request, stored with its Idempotency-Key; fields added later count only where they are set.

    A batch size that is left open counts as the 64 that it once was by default.
    """
    later: dict[str, Any] = {name: True for name in ("training_dataset",) if getattr(request, name) is None}
    if request.settings.autocast is None:
        later["settings"] = {"autocast"}
    later["outputs"] = {name for name in ("opset", "ir_version", "dynamic") if not getattr(request.outputs, name)}
    settings = request.settings.model_copy(update={"batch_size": request.settings.batch_size or 64})
    asked = request.model_copy(update={"settings": settings})
    return hashlib.sha256(asked.model_dump_json(exclude=later).encode()).hexdigest()


def recipe_of(request: JobRequest) -> Recipe | None:
    """The recipe of the request; None for kinds without one. Raises InvalidError for a recipe that is not permitted."""
    name = request.recipe if request.recipe is not None else DEFAULT_RECIPE.get(request.kind)
    if name is None and request.kind == "export":
        return None
    if not PERMITTED[request.kind]:
        raise InvalidError(f"{request.kind} jobs have no recipe; leave it out.", [("recipe", "no steps are permitted")])
    if isinstance(name, str) and name not in PRESETS:
        raise InvalidError(
            f"{name!r} is not a preset; use one of {', '.join(sorted(PRESETS))}, or write the recipe out.",
            [("recipe", "no such preset")],
        )
    recipe = PRESETS[name] if isinstance(name, str) else name
    assert recipe is not None, "a kind with steps has a default recipe"
    forbidden = forbidden_steps(request.kind, recipe)
    if forbidden:
        raise InvalidError(
            "; ".join(f"{path}: {message}" for path, message in forbidden)
            + ". GET /v1/methods says which kinds of jobs permit which steps.",
            forbidden,
        )
    return recipe


def _check_inputs(connection: Connection, request: JobRequest) -> None:
    """Raise for a model or dataset that does not exist or is not ready."""
    if request.dataset is None and request.kind in WITH_DATA:
        raise InvalidError(
            f"{request.kind} jobs need data; name a dataset, which POST /v1/datasets registers.",
            [("dataset", f"{request.kind} jobs need one")],
        )
    _check_ready("model", request.model, models.state(connection, request.model))
    if request.dataset is not None:
        _check_ready("dataset", request.dataset, datasets.state(connection, request.dataset))
    if request.training_dataset is not None:
        state = datasets.state(connection, request.training_dataset)
        _check_ready("training_dataset", request.training_dataset, state, "dataset")


def _check_training(request: JobRequest, recipe: Recipe | None) -> None:
    """Raise where the recipe needs training data and has none, or has some and does not use them."""
    uses = [step.training_data for step in recipe.steps] if recipe is not None else []
    if request.training_dataset is None:
        needing = [
            (f"recipe.steps[{number}].on", "'training' needs a training_dataset")
            for number, use in enumerate(uses)
            if use == "required"
        ]
        if needing:
            raise InvalidError(
                "the recipe works on training data, and the request names none; name in `training_dataset` a dataset "
                "that the model was trained on, which POST /v1/datasets registers, or give `on: calibration`.",
                needing,
            )
    elif all(use == "unused" for use in uses):
        raise InvalidError(
            f"the training_dataset {request.training_dataset!r} is of no use to "
            f"{'any step of the recipe' if uses else f'{request.kind} jobs'}; leave it out, or add a step: "
            f"{words_of_training_data_use()}.",
            [("training_dataset", "no step uses it")],
        )


def _check_labels(connection: Connection, request: JobRequest, recipe: Recipe) -> None:
    """Raise for steps that need labels where the dataset has none."""
    assert request.dataset is not None, "a kind with steps has data"
    needing = [
        (f"recipe.steps[{number}].kind", f"{step.kind!r} needs labels")
        for number, step in enumerate(recipe.without_labels.steps)
        if step.needs_labels
    ]
    if needing and not datasets.has_labels(connection, request.dataset):
        raise InvalidError(
            f"the dataset {request.dataset!r} has no labels, and steps of the recipe need them; name a labelled "
            "dataset, or leave these steps out.",
            needing,
        )


def _check_ready(field: str, identity: str, state: str | None, kind: str | None = None) -> None:
    """Raise where the model or dataset (``kind``) that ``field`` names does not exist or is not ready."""
    kind = kind or field
    if state is None:
        raise InvalidError(f"there is no {kind} {identity!r}; GET /v1/{kind}s lists all.", [(field, f"no such {kind}")])
    if state == "checking":
        raise ConflictError(
            f"the {kind} {identity!r} is still being checked; retry once it is ready.",
            headers={"Retry-After": "1"},
        )
    if state == "refused":
        raise ConflictError(
            f"the {kind} {identity!r} was refused; GET /v1/{kind}s/{identity} says why. Register another."
        )
