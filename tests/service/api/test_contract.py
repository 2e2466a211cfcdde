"""The server conforms to its OpenAPI document, for generated requests (Schemathesis)."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.python import asgi

from service.api import create_app
from service.settings import Settings
from tests.service.api.running import OFFSET_STREAM, Running, run

#: A request can keep its schema and break a rule that no schema states, such as naming a model that is not there.
CHECKS = {"positive_data_acceptance": {"expected-statuses": ["2xx", "304", "404", "409", "413", "416", "422"]}}

#: Stand-ins for what the running server has, so that requests reach beyond 404; by the parameter that names it.
STAND_INS = {
    "model": ("model-0", "model-1", "model-2"),
    "dataset": ("dataset-0", "dataset-1", "dataset-2"),
    "job": ("job-queued", "job-running", "job-cancelling", "job-succeeded", "job-failed", "job-cancelled"),
    "upload": ("upload-complete", "upload-open", "upload-fresh"),
    "name": ("report.txt",),
    "sha256": ("sha256-report",),
}

schemathesis.serializer(OFFSET_STREAM)(lambda _context, value: {"data": getattr(value, "data", str(value).encode())})


def _narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The document where whatever names a thing names one that the server has."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["schema"] = {"type": "string", "enum": list(STAND_INS[parameter["name"]])}
    for request in ("JobRequest", "ModelRequest", "DatasetRequest"):
        fields = document["components"]["schemas"][request]["properties"]
        for name in {"model", "dataset", "upload"} & set(fields):
            fields[name] = {"type": "string", "enum": list(STAND_INS[name])}
    return document


schema = schemathesis.openapi.from_dict(
    _narrowed(create_app(Settings()).openapi()), config=SchemathesisConfig.from_dict({"checks": CHECKS})
)


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Mapping[str, str]]]:
    """A running app, and what it has for each stand-in."""
    with run(tmp_path_factory.mktemp("contract")) as server:
        yield server.client.app, _things(server)


def _things(server: Running) -> dict[str, str]:
    things = {name: server.model() for name in STAND_INS["model"]}
    things |= {name: server.dataset() for name in STAND_INS["dataset"]}
    for name in STAND_INS["job"]:
        things[name] = server.job(things["model-0"], things["dataset-0"])
        things["sha256-report"] = server.add_artifact(things[name], "report.txt", b"all is well")
        server.add_trial(things[name], "alpha 0.1", b"logits")
        server.set_state(things[name], name.removeprefix("job-"))
    things["upload-complete"] = server.upload(b"weights")
    for name in ("upload-open", "upload-fresh"):
        things[name] = server.client.post("/v1/uploads", json={"name": "a.npz", "size": 30}).json()["id"]
    server.append(things["upload-open"], 0, b"ten bytes.")
    return things


@schema.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_its_contract(case: schemathesis.Case, things: tuple[Any, Mapping[str, str]]) -> None:
    app, real = things
    for named in (case.path_parameters, case.body):
        if isinstance(named, dict):
            named.update({name: real.get(value, value) for name, value in named.items() if isinstance(value, str)})
    with asgi.get_client(app) as client:
        case.call_and_validate(session=client)
