"""``/v1/datasets``: examples, with or without labels, checked before jobs can use them."""

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from service.api.backend import Backend, BackendDep
from service.api.parameters import DEFAULT_LIMIT, After, Id, Limit
from service.api.registration import registration_responses, wait_for_check
from service.api.responses import json_response, problems, response, router
from service.datasets import store
from service.datasets.resources import Dataset, DatasetRequest
from service.jobs import checks
from service.kit.pages import Page, page
from service.uploads.store import stored_file

datasets = router("/v1/datasets", "datasets")


@datasets.post("", status_code=201, responses=registration_responses(Dataset))
async def add_dataset(body: DatasetRequest, backend: BackendDep) -> Response:
    """Register data, and wait a while for the check of the file in a sandbox."""
    identity = await run_in_threadpool(_add, backend, body)
    return await wait_for_check(backend, f"/v1/datasets/{identity}", lambda connection: store.get(connection, identity))


@datasets.get("", responses=response(200, "Newest first", Page[Dataset]) | problems(422))
async def list_datasets(backend: BackendDep, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Response:
    """List the datasets."""
    with backend.database.read() as connection:
        found = store.find(connection, after=after, limit=limit + 1)
    return json_response(page(found, limit, lambda dataset: dataset.id))


@datasets.get("/{dataset}", responses=response(200, "Its current state", Dataset) | problems(404, 422))
async def get_dataset(dataset: Id, backend: BackendDep) -> Response:
    """Read a dataset."""
    with backend.database.read() as connection:
        return json_response(store.get(connection, dataset))


@datasets.delete(
    "/{dataset}",
    status_code=204,
    response_class=Response,
    responses=response(204, "Deleted") | problems(404, 409, 422),
)
def delete_dataset(dataset: Id, backend: BackendDep) -> Response:
    """Delete a dataset that no job refers to."""
    with backend.database.write() as connection:
        store.get(connection, dataset)
        checks.delete_dataset_checks(connection, dataset)
        store.remove(connection, dataset)
    return Response(status_code=204)


def _add(backend: Backend, body: DatasetRequest) -> str:
    with backend.database.write() as connection:
        identity = store.add(connection, body, stored_file(connection, body))
        checks.queue_dataset_check(connection, identity, backend.settings.timeout_seconds)
    return identity
