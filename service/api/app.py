"""The REST API as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from service.api.backend import Backend
from service.api.blobs import blobs
from service.api.datasets import datasets
from service.api.health import health
from service.api.jobs import jobs
from service.api.methods import methods
from service.api.metrics import Metrics
from service.api.middleware import RequestMiddleware
from service.api.models import models
from service.api.problems import EXCEPTION_HANDLERS
from service.api.results import results
from service.api.uploads import uploads
from service.db import open_database
from service.settings import Settings
from service.storage import Blobs, Partials

#: Routes are matched in this order, so the most frequent requests come first.
ROUTERS = (jobs, results, uploads, blobs, models, datasets, methods, health)


def create_app(settings: Settings) -> FastAPI:
    """The application; it opens its database and files at startup, and closes them at shutdown."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = open_database(settings.data_dir)
        app.state.backend = Backend(settings, database, Blobs(settings.data_dir), Partials(settings.data_dir))
        metrics.watch_jobs(database)
        try:
            yield
        finally:
            database.close()

    app = FastAPI(
        title="Afternorm",
        summary="Tune the BatchNorm of a trained model, prove that it helped, ship it as ONNX.",
        version=version("afternorm"),
        lifespan=lifespan,
        exception_handlers=dict(EXCEPTION_HANDLERS),
        redirect_slashes=False,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.metrics = metrics
    app.add_middleware(RequestMiddleware, metrics=metrics)
    for each in ROUTERS:
        # Not include_router: with it, FastAPI searches every router for each request, and matches each route twice.
        app.router.routes.extend(each.routes)
    return app
