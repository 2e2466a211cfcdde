"""A typed client of the REST API."""

from service.client.client import Client
from service.client.errors import RemoteError

__all__ = ["Client", "RemoteError"]
