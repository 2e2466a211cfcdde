"""The REST API: one router for each resource."""

from service.api.app import create_app

__all__ = ["create_app"]
