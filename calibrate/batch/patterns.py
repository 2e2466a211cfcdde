"""Patterns in a manifest: one entry that stands for every file that its path matches."""

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from calibrate.errors import UsageError
from calibrate.recipe import Manifest, parse
from calibrate.recipe.manifest import ManifestDataset, ManifestModel

Entry = TypeVar("Entry", ManifestModel, ManifestDataset)
_MAGIC = re.compile(r"[*?\[]")


def expand(manifest: Manifest, path: Path) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest at ``path`` with an entry for each file that matches a ``model`` or ``data`` with ``*``, ``?``, [].

    Beside it a sentence on each pattern: which entries it became.

    The entry ``runs`` with the pattern ``runs/*/best.pth`` becomes ``runs-a`` for ``runs/a/best.pth``: behind its name
    what the pattern left open, in natural order. A path that is there as it is written is no pattern, nor is a URL or a
    set of torchvision's. UsageError where nothing matches, or two files would have one name.
    """
    folder = path.absolute().parent
    models, of_models = _expanded(manifest.models, "model", folder)
    datasets, of_datasets = _expanded(manifest.datasets, "data", folder)
    if not of_models and not of_datasets:
        return manifest, ()
    given = {name: getattr(manifest, name) for name in type(manifest).model_fields}
    expanded = parse(Manifest, {**given, "models": models, "datasets": datasets}, str(path))  # the names become folders
    return expanded, of_models + of_datasets


def _expanded(
    entries: Mapping[str, Entry], field: Literal["model", "data"], folder: Path
) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """The entries whose path is in ``field``, and what is said of those that were patterns."""
    found: dict[str, Entry] = {}
    sentences = []
    for name, entry in entries.items():
        pattern = getattr(entry, field)
        if not _is_pattern(pattern, folder):
            _add_(found, name, entry, name)
            continue
        matches = sorted(glob.glob(pattern, root_dir=folder, recursive=True), key=_natural)  # noqa: PTH207 (absolute ones too)
        if not matches:
            raise UsageError(f"{name}: no file matches {pattern}; patterns are relative to the manifest, {folder}.")
        files: dict[str, str] = {}
        for match in matches:
            own = f"{name}-{_open_part(pattern, match)}"
            if own in files:
                raise UsageError(
                    f"{name}: the files {files[own]} and {match}, which {pattern} matches, would both be called {own}; "
                    "rename one, or write them out."
                )
            files[own] = match
            _add_(found, own, entry.model_copy(update={field: match}), name)
        count = f"{len(files)} file{'s' if len(files) > 1 else ''}"
        sentences.append(f"{name}: {pattern} is {count}: {', '.join(files)}")
    return found, tuple(sentences)


def _add_(found: dict[str, Entry], name: str, entry: Entry, written: str) -> None:
    if name in found:
        raise UsageError(f"two entries are called {name}, one of them from the pattern of {written}; rename an entry.")
    found[name] = entry


def _is_pattern(text: str, folder: Path) -> bool:
    """Whether a path of the manifest is a pattern."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) or not _MAGIC.search(text):
        return False
    return not is_there(folder / text)


def is_there(place: Path) -> bool:
    """Whether a path of the manifest exists; one that no file can have, as a name too long, does not."""
    try:
        return place.exists()
    except (OSError, ValueError):
        return False


def _open_part(pattern: str, match: str) -> str:
    """What of the path ``match`` its pattern left open, as part of a name.

    >>> _open_part("runs/*/best.pth", "runs/a b/best.pth"), _open_part("sets/**/val-*.zip", "sets/x/y/val-3.zip")
    ('a-b', 'x-y-3')
    """
    parts, given = Path(match).parts, Path(pattern).parts
    magic = [place for place, part in enumerate(given) if _MAGIC.search(part)]
    behind = len(given) - 1 - magic[-1]
    left_open = list(parts[magic[0] : len(parts) - behind])
    last = given[magic[-1]]
    if last != "**":
        marks = [place.start() for place in _MAGIC.finditer(last)]
        end = last[max(marks) + 1 :] if "[" not in last[max(marks) :] else last.rpartition("]")[2]
        before, after = last[: min(marks)], end
        left_open[-1] = left_open[-1].removeprefix(before).removesuffix(after) or left_open[-1]
    return re.sub(r"[^A-Za-z0-9._+=-]+", "-", "-".join(left_open)).strip("-.") or "file"


def _natural(path: str) -> list[tuple[int, str]]:
    """A key that sorts run-2 before run-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split("([0-9]+)", path)]
