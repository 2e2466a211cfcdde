"""The HTTP interface as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from service.api.blobs import blobs
from service.api.datasets import datasets
from service.api.health import health
from service.api.jobs import jobs
from service.api.methods import methods
from service.api.metrics import Metrics
from service.api.models import models
from service.api.observing import Observed
from service.api.problems import HANDLERS
from service.api.results import results
from service.api.state import State
from service.api.uploads import uploads
from service.db import open_database
from service.settings import Settings
from service.storage import Blobs, Partials

#: Routes are tried in this order, so what is asked for most comes first.
RESOURCES = (jobs, results, uploads, blobs, models, datasets, methods, health)


def create_app(settings: Settings) -> FastAPI:
    """The application; its database and files are opened when it starts, and closed when it ends."""
    metrics = Metrics()

    @asynccontextmanager
    async def kept(app: FastAPI) -> AsyncIterator[None]:
        database = open_database(settings.data_dir)
        app.state.kept = State(settings, database, Blobs(settings.data_dir), Partials(settings.data_dir))
        metrics.watch_jobs(database)
        try:
            yield
        finally:
            database.close()

    app = FastAPI(
        title="Afternorm",
        summary="Tune the BatchNorm of a trained model, prove that it helped, ship it as ONNX.",
        version=version("afternorm"),
        lifespan=kept,
        exception_handlers=dict(HANDLERS),
        redirect_slashes=False,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.metrics = metrics
    app.add_middleware(Observed, metrics=metrics)
    for resource in RESOURCES:
        # Not include_router: FastAPI looks through each included router anew, and finds each route twice.
        app.router.routes.extend(resource.routes)
    return app
