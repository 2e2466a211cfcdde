"""``/v1/models``: checkpoints and their architectures, checked before they can be used."""

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from service.api.answers import answer, json_response, problems, router
from service.api.parameters import DEFAULT_LIMIT, After, Id, Limit
from service.api.registering import registered, registration_answers
from service.api.state import Kept, State
from service.jobs import subjects
from service.kit.pages import Page, page
from service.models import store
from service.models.resources import Model, ModelRequest
from service.uploads.store import stored_file

models = router("/v1/models", "models")


@models.post("", status_code=201, responses=registration_answers(Model))
async def add_model(body: ModelRequest, kept: Kept) -> Response:
    """Register a checkpoint and wait a while for the check of its file, which happens in a sandbox."""
    identity = await run_in_threadpool(_add, kept, body)
    return await registered(kept, f"/v1/models/{identity}", lambda connection: store.get(connection, identity))


@models.get("", responses=answer(200, "Newest first", Page[Model]) | problems(422))
async def list_models(kept: Kept, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Response:
    """List the models."""
    with kept.database.read() as connection:
        found = store.find(connection, after=after, limit=limit + 1)
    return json_response(page(found, limit, lambda model: model.id))


@models.get("/{model}", responses=answer(200, "As it stands", Model) | problems(404, 422))
async def get_model(model: Id, kept: Kept) -> Response:
    """Say how a model stands."""
    with kept.database.read() as connection:
        return json_response(store.get(connection, model))


@models.delete(
    "/{model}", status_code=204, response_class=Response, responses=answer(204, "Forgotten") | problems(404, 409, 422)
)
def delete_model(model: Id, kept: Kept) -> Response:
    """Forget a model to which no job refers."""
    with kept.database.write() as connection:
        store.get(connection, model)
        subjects.release_model(connection, model)
        store.remove(connection, model)
    return Response(status_code=204)


def _add(kept: State, body: ModelRequest) -> str:
    with kept.database.write() as connection:
        identity = store.add(connection, body, stored_file(connection, body), kept.settings.factories)
        subjects.check_model(connection, identity, kept.settings.timeout_seconds)
    return identity
