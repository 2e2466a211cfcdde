"""The OpenAPI document is committed, current, and names every problem as one."""

import json

from service.kit.problem import MEDIA_TYPE
from tests.service.api.openapi_document import COMMITTED, current

DOCUMENT = json.loads(current())
OPERATIONS = [
    (method, operation) for operations in DOCUMENT["paths"].values() for method, operation in operations.items()
]


def test_the_committed_document_is_current() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == current(), "run `python -m tests.service.api.openapi_document`"


def test_every_failure_is_a_problem() -> None:
    for method, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            if int(status) >= 400 and method != "head":
                assert list(response["content"]) == [MEDIA_TYPE], (operation["operationId"], status)
            assert "X-Request-ID" in response["headers"]
    assert not [name for name in DOCUMENT["components"]["schemas"] if "Validation" in name]


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
