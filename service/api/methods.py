"""``/v1/methods``: the steps and presets of recipes."""

from functools import cache

from fastapi import Response

from service.api.responses import json_response, problems, response, router
from service.jobs.kinds import PERMITTED
from service.methods import Catalogue, catalogue

methods = router("/v1/methods", "methods")


@methods.get("", responses=response(200, "All steps and presets", Catalogue) | problems())
async def list_methods() -> Response:
    """List the steps with their JSON Schemas and cards, and the presets."""
    return json_response(_catalogue())


@cache
def _catalogue() -> Catalogue:
    return catalogue(PERMITTED)
