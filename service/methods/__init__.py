"""The catalogue of methods: what jobs can be made of, as JSON Schema and in words."""

from service.methods.method_catalog import Catalogue, catalogue

__all__ = ["Catalogue", "catalogue"]
