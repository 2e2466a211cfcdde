"""A typed client of the HTTP interface."""

from service.client.client import Client
from service.client.errors import RemoteError

__all__ = ["Client", "RemoteError"]
