"""``/v1/models``: checkpoints and their architectures, checked before jobs can use them."""

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from service.api.backend import Backend, BackendDep
from service.api.parameters import DEFAULT_LIMIT, After, Id, Limit
from service.api.registration import registration_responses, wait_for_check
from service.api.responses import json_response, problems, response, router
from service.jobs import checks
from service.kit.pages import Page, page
from service.models import store
from service.models.resources import Model, ModelRequest
from service.uploads.store import stored_file

models = router("/v1/models", "models")


@models.post("", status_code=201, responses=registration_responses(Model))
async def add_model(body: ModelRequest, backend: BackendDep) -> Response:
    """Register a checkpoint, and wait a while for the check of the file in a sandbox."""
    identity = await run_in_threadpool(_add, backend, body)
    return await wait_for_check(backend, f"/v1/models/{identity}", lambda connection: store.get(connection, identity))


@models.get("", responses=response(200, "Newest first", Page[Model]) | problems(422))
async def list_models(backend: BackendDep, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Response:
    """List the models."""
    with backend.database.read() as connection:
        found = store.find(connection, after=after, limit=limit + 1)
    return json_response(page(found, limit, lambda model: model.id))


@models.get("/{model}", responses=response(200, "Its current state", Model) | problems(404, 422))
async def get_model(model: Id, backend: BackendDep) -> Response:
    """Read a model."""
    with backend.database.read() as connection:
        return json_response(store.get(connection, model))


@models.delete(
    "/{model}", status_code=204, response_class=Response, responses=response(204, "Deleted") | problems(404, 409, 422)
)
def delete_model(model: Id, backend: BackendDep) -> Response:
    """Delete a model that no job refers to."""
    with backend.database.write() as connection:
        store.get(connection, model)
        checks.delete_model_checks(connection, model)
        store.remove(connection, model)
    return Response(status_code=204)


def _add(backend: Backend, body: ModelRequest) -> str:
    with backend.database.write() as connection:
        identity = store.add(connection, body, stored_file(connection, body), backend.settings.factories)
        checks.queue_model_check(connection, identity, backend.settings.timeout_seconds)
    return identity
