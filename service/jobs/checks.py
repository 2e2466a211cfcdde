"""The models and datasets that jobs refer to: checked when they are new, kept while they are needed."""

from sqlalchemy import ColumnElement, Connection, delete, or_, select

from calibrate.recipe import Outputs
from service.db.tables import jobs
from service.errors import ConflictError, InUseError
from service.jobs import store
from service.jobs.resources import JobSettings


def check_model(connection: Connection, model: str, timeout_seconds: float) -> None:
    """Queue the check of a new model."""
    _add_check(connection, timeout_seconds, model=model)


def check_dataset(connection: Connection, dataset: str, timeout_seconds: float) -> None:
    """Queue the check of a new dataset."""
    _add_check(connection, timeout_seconds, dataset=dataset)


def release_model(connection: Connection, model: str) -> None:
    """Forget the checks of a model that is to be deleted; raises InUseError while other jobs refer to it."""
    _release(connection, jobs.c.model == model, f"the model {model!r}")


def release_dataset(connection: Connection, dataset: str) -> None:
    """Forget the checks of a dataset that is to be deleted; raises InUseError while other jobs refer to it."""
    refers = or_(jobs.c.dataset == dataset, jobs.c.training_dataset == dataset)
    _release(connection, refers, f"the dataset {dataset!r}")


def _add_check(connection: Connection, timeout_seconds: float, **subject: str) -> None:
    store.add(
        connection,
        kind="check",
        slot="cpu",
        outputs=Outputs(formats=()).model_dump(mode="json"),
        settings=JobSettings().model_dump(mode="json"),
        timeout_seconds=timeout_seconds,
        **subject,
    )


def _release(connection: Connection, refers: ColumnElement[bool], noun: str) -> None:
    held = connection.scalar(select(jobs.c.id).where(refers, jobs.c.kind != "check").limit(1))
    if held is not None:
        raise InUseError(f"{noun} is referred to by the job {held!r}; delete all its jobs first.")
    running = jobs.c.state.in_(("running", "cancelling"))
    if connection.scalar(select(jobs.c.id).where(refers, running).limit(1)) is not None:
        raise ConflictError(f"{noun} is being checked; delete it once that has ended.", headers={"Retry-After": "1"})
    connection.execute(delete(jobs).where(refers))
