"""The digest of a cell's request, by which a finished run is known again."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from calibrate.batch.cells import Combination
from calibrate.errors import UsageError
from calibrate.request import RunRequest

#: Fields that came later: where one is not given the digest stays what it was before it was there.
LATER = ("weights", "split", "skip_broken", "training_split", "training_skip_broken")


def request_digests(cells: Iterable[Combination]) -> tuple[str, ...]:
    """For each cell, SHA-256 over everything that was asked for: a run with another digest is another run.

    A checkpoint, class names, a class map and a reference count by their content; data by their path and the name, size
    and time of change of each file there, because they can be large. A URL, the images that a .csv names and a factory
    (``package.module:factory``) count by name only. The installed versions do not count: they are in each summary.
    """
    contents: dict[Path, str] = {}
    listings: dict[Path, str] = {}
    digests = []
    for cell in cells:
        asked = cell.request
        for path in (asked.model, asked.classes, asked.class_map):
            if isinstance(path, Path) and path not in contents:
                contents[path] = _content(path)
        for path in (cell.files, cell.training_files):
            if path is not None and path not in listings:
                listings[path] = _listing(path)
        request = {
            "version": 1,
            "model": contents[asked.model],
            "architecture": asked.architecture,
            "architecture_args": asked.architecture_args,
            "data": [asked.data, listings[cell.files] if cell.files else None],
            "classes": contents[asked.classes] if isinstance(asked.classes, Path) else asked.classes,
            "class_map": contents[asked.class_map] if isinstance(asked.class_map, Path) else asked.class_map,
            "preprocessing": asked.preprocessing and asked.preprocessing.model_dump(mode="json", exclude_defaults=True),
            "recipe": asked.recipe.digest,
            "outputs": asked.outputs.model_dump(mode="json", exclude_defaults=True),
            "settings": asked.settings.model_dump(mode="json", exclude_defaults=True),
        }
        for name in LATER:
            if (value := getattr(asked, name)) != RunRequest.model_fields[name].default:
                request[name] = value
        if asked.training_data is not None:  # likewise
            request["training_data"] = [
                asked.training_data,
                listings[cell.training_files] if cell.training_files else None,
            ]
        if (reference := asked.reference_file) is not None:  # likewise
            request["reference"] = _content(reference)
        digests.append(_digest(request))
    return tuple(digests)


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; make it readable, or name another file.") from None


def _listing(path: Path) -> str:
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    facts = [(str(item.relative_to(path)), stat.st_size, stat.st_mtime_ns) for item in files for stat in [item.stat()]]
    return _digest(facts)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
