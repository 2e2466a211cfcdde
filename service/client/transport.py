"""HTTP requests whose failures are errors that a user can act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from pydantic import ValidationError

from calibrate.errors import UnavailableError
from service.client.errors import RemoteError
from service.kit.problem import Problem


class Transport:
    """Requests to one server, under ``/v1``."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request; raises RemoteError for an error response, UnavailableError without any response."""
        with self._reachable():
            response = self._client.request(method, f"/v1{path}", **options)
        check(response)
        return response

    @contextmanager
    def stream(self, path: str, **options: Any) -> Iterator[httpx2.Response]:
        """Send a GET, and stream its response."""
        with self._reachable(), self._client.stream("GET", f"/v1{path}", **options) as response:
            if response.is_error:
                response.read()
            check(response)
            yield response

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise UnavailableError(
                f"{self._client.base_url} cannot be reached ({type(error).__name__}: {error}); start the server with "
                "`afternorm serve`, or name another with --url."
            ) from error


def check(response: httpx2.Response) -> None:
    """Raise RemoteError for an error response."""
    if not response.is_error:
        return
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem(
            title="Not an Afternorm server",
            status=response.status_code,
            code="not-a-problem",
            detail=f"{response.url} returned {response.status_code} without a problem document, so it is no Afternorm "
            "server; check --url.",
        )
    raise RemoteError(problem)
