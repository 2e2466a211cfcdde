"""``/v1/datasets``: labelled examples, checked before they can be used."""

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from service.api.answers import answer, json_response, problems, router
from service.api.parameters import DEFAULT_LIMIT, After, Id, Limit
from service.api.registering import registered, registration_answers
from service.api.state import Kept, State
from service.datasets import store
from service.datasets.resources import Dataset, DatasetRequest
from service.jobs import subjects
from service.kit.pages import Page, page
from service.uploads.store import stored_file

datasets = router("/v1/datasets", "datasets")


@datasets.post("", status_code=201, responses=registration_answers(Dataset))
async def add_dataset(body: DatasetRequest, kept: Kept) -> Response:
    """Register data and wait a while for the check of the file, which happens in a sandbox."""
    identity = await run_in_threadpool(_add, kept, body)
    return await registered(kept, f"/v1/datasets/{identity}", lambda connection: store.get(connection, identity))


@datasets.get("", responses=answer(200, "Newest first", Page[Dataset]) | problems(422))
async def list_datasets(kept: Kept, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Response:
    """List the datasets."""
    with kept.database.read() as connection:
        found = store.find(connection, after=after, limit=limit + 1)
    return json_response(page(found, limit, lambda dataset: dataset.id))


@datasets.get("/{dataset}", responses=answer(200, "As it stands", Dataset) | problems(404, 422))
async def get_dataset(dataset: Id, kept: Kept) -> Response:
    """Say how a dataset stands."""
    with kept.database.read() as connection:
        return json_response(store.get(connection, dataset))


@datasets.delete(
    "/{dataset}", status_code=204, response_class=Response, responses=answer(204, "Forgotten") | problems(404, 409, 422)
)
def delete_dataset(dataset: Id, kept: Kept) -> Response:
    """Forget a dataset to which no job refers."""
    with kept.database.write() as connection:
        store.get(connection, dataset)
        subjects.release_dataset(connection, dataset)
        store.remove(connection, dataset)
    return Response(status_code=204)


def _add(kept: State, body: DatasetRequest) -> str:
    with kept.database.write() as connection:
        identity = store.add(connection, body, stored_file(connection, body))
        subjects.check_dataset(connection, identity, kept.settings.timeout_seconds)
    return identity
