"""The cells of a manifest: every model with every dataset and every recipe, with nothing left to look up."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from calibrate.errors import UsageError
from calibrate.recipe import PRESETS, Manifest, Outputs, Preprocessing, Recipe, RunSettings, read, read_recipe

URL = re.compile("[A-Za-z][A-Za-z0-9+.:-]*://")
TORCHVISION = "torchvision:"


@dataclass(frozen=True, slots=True)
class Combination:
    """One run to be: its names in the manifest, and what they stand for.

    ``data`` is what ``--data`` takes; ``files`` is where they lie, None where that is not on this machine.
    """

    names: tuple[str, str, str]
    model: Path
    architecture: str | None
    architecture_args: dict[str, Any] | None
    data: str
    files: Path | None
    classes: Path | None
    class_map: Path | None
    preprocessing: Preprocessing | None
    recipe: Recipe
    outputs: Outputs
    settings: RunSettings

    @property
    def name(self) -> str:
        """Model, dataset and recipe, as in the path of the run's folder."""
        return "/".join(self.names)


def read_cells(path: Path, **settings: str | int | None) -> tuple[Combination, ...]:
    """The cells of the manifest at ``path``, in its order; those ``settings`` that are not None replace its own.

    Raises UsageError for a manifest that is not valid, and for every file it names that is not there.
    """
    manifest = read(Manifest, path)
    folder = path.absolute().parent
    recipes = {name: _recipe(given, folder) for name, given in manifest.recipes.items()}
    shapes = {name: _preprocessing(item.preprocessing, folder) for name, item in manifest.datasets.items()}
    chosen = manifest.settings.model_copy(update={name: value for name, value in settings.items() if value is not None})
    places = {name: _data(item.data, folder) for name, item in manifest.datasets.items()}
    cells = tuple(
        Combination(
            names=(model_name, dataset_name, recipe_name),
            model=folder / model.model,
            architecture=model.architecture,
            architecture_args=model.architecture_args,
            data=places[dataset_name][0],
            files=places[dataset_name][1],
            classes=folder / dataset.classes if dataset.classes else None,
            class_map=folder / dataset.class_map if dataset.class_map else None,
            preprocessing=shapes[dataset_name],
            recipe=recipe,
            outputs=manifest.outputs,
            settings=chosen,
        )
        for model_name, model in manifest.models.items()
        for dataset_name, dataset in manifest.datasets.items()
        for recipe_name, recipe in recipes.items()
    )
    _refuse_missing(path, cells)
    return cells


def _recipe(given: Recipe | str, folder: Path) -> Recipe:
    if isinstance(given, Recipe):
        return given
    return PRESETS[given] if given in PRESETS else read_recipe(str(folder / given))


def _preprocessing(given: Preprocessing | str | None, folder: Path) -> Preprocessing | None:
    return read(Preprocessing, folder / given) if isinstance(given, str) else given


def _data(given: str, folder: Path) -> tuple[str, Path | None]:
    """What ``--data`` takes, with its path (a torchvision set's is its root) relative to ``folder``; and that path."""
    if URL.match(given):
        return given, None
    if not given.startswith(TORCHVISION):
        return str(folder / given), folder / given
    kind, _, query = given.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    root = folder / options.get("root", "")
    return f"{kind}?{urlencode({**options, 'root': str(root)})}", root


def _refuse_missing(path: Path, cells: tuple[Combination, ...]) -> None:
    missing: dict[str, None] = {}
    for cell in cells:
        model, dataset, _ = cell.names
        if not cell.model.is_file():
            missing[f"the checkpoint of {model}, {cell.model}"] = None
        if cell.files and not cell.files.exists():
            missing[f"the data of {dataset}, {cell.files}"] = None
        for what, file in (("class names", cell.classes), ("class map", cell.class_map)):
            if file and not file.is_file():
                missing[f"the {what} of {dataset}, {file}"] = None
    if missing:
        raise UsageError(
            f"{path} names files that are not there: {'; '.join(missing)}. Paths are relative to the manifest."
        )
