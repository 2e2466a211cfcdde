"""The committed OpenAPI document; ``python -m tests.service.api.openapi_document`` brings it up to date."""

import json
from pathlib import Path

from service.api import create_app
from service.settings import Settings

COMMITTED = Path(__file__).with_name("openapi.json")


def current() -> str:
    """The document as the code has it."""
    return json.dumps(create_app(Settings()).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    COMMITTED.write_text(current(), encoding="utf-8")
