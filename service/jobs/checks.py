"""Checks: the jobs that open new models and datasets in the sandbox, deleted with their model or dataset."""

from sqlalchemy import ColumnElement, Connection, delete, or_, select

from calibrate.recipe import Outputs
from service.db.tables import jobs
from service.errors import ConflictError, InUseError
from service.jobs import store
from service.jobs.resources import JobSettings


def queue_model_check(connection: Connection, model: str, timeout_seconds: float) -> None:
    """Queue the check of a new model."""
    _add_check(connection, timeout_seconds, model=model)


def queue_dataset_check(connection: Connection, dataset: str, timeout_seconds: float) -> None:
    """Queue the check of a new dataset."""
    _add_check(connection, timeout_seconds, dataset=dataset)


def delete_model_checks(connection: Connection, model: str) -> None:
    """Delete the checks of a model, before it is deleted; raises InUseError while other jobs refer to it."""
    _delete_checks(connection, jobs.c.model == model, f"the model {model!r}")


def delete_dataset_checks(connection: Connection, dataset: str) -> None:
    """Delete the checks of a dataset, before it is deleted; raises InUseError while other jobs refer to it."""
    refers = or_(jobs.c.dataset == dataset, jobs.c.training_dataset == dataset)
    _delete_checks(connection, refers, f"the dataset {dataset!r}")


def _add_check(connection: Connection, timeout_seconds: float, **checked: str) -> None:
    store.add(
        connection,
        kind="check",
        slot="cpu",
        outputs=Outputs(formats=()).model_dump(mode="json"),
        settings=JobSettings().model_dump(mode="json"),
        timeout_seconds=timeout_seconds,
        **checked,
    )


def _delete_checks(connection: Connection, refers: ColumnElement[bool], noun: str) -> None:
    user = connection.scalar(select(jobs.c.id).where(refers, jobs.c.kind != "check").limit(1))
    if user is not None:
        raise InUseError(f"{noun} is referred to by the job {user!r}; delete all its jobs first.")
    running = jobs.c.state.in_(("running", "cancelling"))
    if connection.scalar(select(jobs.c.id).where(refers, running).limit(1)) is not None:
        raise ConflictError(
            f"{noun} is being checked; delete it once the check has ended.", headers={"Retry-After": "1"}
        )
    connection.execute(delete(jobs).where(refers))
