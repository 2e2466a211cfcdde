"""The canonical JSON of a document, from which its identity derives."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def canonical(document: BaseModel) -> str:
    """``document`` with its version and without its defaulted fields, so that a field added later changes no digest."""
    fields = {"version": document.version, **without_defaults(document)}  # type: ignore[attr-defined]
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def digest(document: BaseModel) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def without_defaults(value: Any) -> Any:
    """``value`` as JSON without the fields that have their default, but for ``kind``, which tells values apart."""
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return {
            name: without_defaults(held)
            for name, held in fields.items()
            if name == "kind" or held != type(value).model_fields[name].default
        }
    return [without_defaults(item) for item in value] if isinstance(value, tuple) else value
