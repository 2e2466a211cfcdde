"""A cell as a request: the digest by which a finished run is known again, and the command that carries it out."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from calibrate.batch.cells import Combination
from calibrate.errors import UsageError

#: Where, inside a run's folder, its finished passes are until it ends well.
TRIALS = "trials"


def request_digests(cells: Iterable[Combination]) -> tuple[str, ...]:
    """For each cell, SHA-256 over everything that was asked for: a run with another digest is another run.

    A checkpoint, class names and a class map count by their content; data by their path and the name, size and time
    of change of each file there, because they can be large. A URL, the images that a .csv names and a factory
    (``package.module:factory``) count by name only. The installed versions do not count: they are in each summary.
    """
    contents: dict[Path, str] = {}
    listings: dict[Path, str] = {}
    digests = []
    for cell in cells:
        for path in (cell.model, cell.classes, cell.class_map):
            if path is not None and path not in contents:
                contents[path] = _content(path)
        if cell.files is not None and cell.files not in listings:
            listings[cell.files] = _listing(cell.files)
        request = {
            "version": 1,
            "model": contents[cell.model],
            "architecture": cell.architecture,
            "architecture_args": cell.architecture_args,
            "data": [cell.data, listings[cell.files] if cell.files else None],
            "classes": contents[cell.classes] if cell.classes else None,
            "class_map": contents[cell.class_map] if cell.class_map else None,
            "preprocessing": cell.preprocessing and cell.preprocessing.model_dump(mode="json", exclude_defaults=True),
            "recipe": cell.recipe.digest,
            "outputs": cell.outputs.model_dump(mode="json", exclude_defaults=True),
            "settings": cell.settings.model_dump(mode="json", exclude_defaults=True),
        }
        digests.append(_digest(request))
    return tuple(digests)


def arguments(cell: Combination, folder: Path) -> list[str]:
    """The arguments of ``afternorm`` that carry out ``cell`` and write into ``folder``."""
    optional = {
        "architecture": cell.architecture,
        "architecture-args": cell.architecture_args and json.dumps(cell.architecture_args, ensure_ascii=False),
        "classes": cell.classes,
        "class-map": cell.class_map,
        "preprocessing": cell.preprocessing and cell.preprocessing.model_dump_json(),
        "threads": cell.settings.threads,
    }
    options = {
        "model": cell.model,
        "data": cell.data,
        "recipe": cell.recipe.model_dump_json(),
        "out": folder,
        "trials": folder / TRIALS,
        "formats": ",".join(cell.outputs.formats),
        "latency-runs": cell.outputs.latency_runs,
        "batch-size": cell.settings.batch_size,
        "device": cell.settings.device,
        **{name: value for name, value in optional.items() if value is not None},
    }
    return ["calibrate", *(f"--{name}={value}" for name, value in options.items())]


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
