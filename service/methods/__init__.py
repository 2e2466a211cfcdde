"""The catalogue of methods: the steps and presets of recipes, with JSON Schemas and descriptions."""

from service.methods.method_catalog import Catalogue, catalogue

__all__ = ["Catalogue", "catalogue"]
