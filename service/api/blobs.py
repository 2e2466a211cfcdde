"""``/v1/blobs``: stored bytes by their SHA-256."""

from typing import Annotated

from fastapi import Path, Request, Response

from service.api.backend import BackendDep
from service.api.file_responses import GET_RESPONSES, HEAD_RESPONSES, file_response
from service.api.responses import router
from service.kit.file_source import Digest
from service.uploads import store

blobs = router("/v1/blobs", "blobs")

Sha256 = Annotated[Digest, Path()]


@blobs.get("/sha256:{sha256}", response_class=Response, responses=GET_RESPONSES)
async def get_blob(sha256: Sha256, request: Request, backend: BackendDep) -> Response:
    """Download stored bytes, or a range of them."""
    with backend.database.read() as connection:
        store.blob_size(connection, sha256)
    return file_response(request, backend, sha256, sha256, "application/octet-stream")


@blobs.head("/sha256:{sha256}", response_class=Response, responses=HEAD_RESPONSES)
async def head_blob(sha256: Sha256, request: Request, backend: BackendDep) -> Response:
    """Check whether bytes are stored, and read their number."""
    return await get_blob(sha256, request, backend)
