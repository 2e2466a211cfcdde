"""The cells of a manifest: every model with every dataset and every recipe, with nothing left to look up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrate.errors import UsageError
from calibrate.recipe import PRESETS, Manifest, Outputs, Preprocessing, Recipe, Settings, read, read_recipe


@dataclass(frozen=True, slots=True)
class Cell:
    """One run to be: its names in the manifest, and what they stand for."""

    names: tuple[str, str, str]
    model: Path
    architecture: str | None
    architecture_args: dict[str, Any] | None
    data: Path
    classes: Path | None
    preprocessing: Preprocessing | None
    recipe: Recipe
    outputs: Outputs
    settings: Settings

    @property
    def name(self) -> str:
        """Model, dataset and recipe, as in the path of the run's folder."""
        return "/".join(self.names)


def read_cells(path: Path, **settings: str | int | None) -> tuple[Cell, ...]:
    """The cells of the manifest at ``path``, in its order; those ``settings`` that are not None replace its own.

    Raises UsageError for a manifest that is not valid, and for every file it names that is not there.
    """
    manifest = read(Manifest, path)
    folder = path.absolute().parent
    recipes = {name: _recipe(given, folder) for name, given in manifest.recipes.items()}
    shapes = {name: _preprocessing(item.preprocessing, folder) for name, item in manifest.datasets.items()}
    chosen = manifest.settings.model_copy(update={name: value for name, value in settings.items() if value is not None})
    cells = tuple(
        Cell(
            names=(model_name, dataset_name, recipe_name),
            model=folder / model.model,
            architecture=model.architecture,
            architecture_args=model.architecture_args,
            data=folder / dataset.data,
            classes=folder / dataset.classes if dataset.classes else None,
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


def _refuse_missing(path: Path, cells: tuple[Cell, ...]) -> None:
    missing: dict[str, None] = {}
    for cell in cells:
        model, dataset, _ = cell.names
        if not cell.model.is_file():
            missing[f"the checkpoint of {model}, {cell.model}"] = None
        if not cell.data.exists():
            missing[f"the data of {dataset}, {cell.data}"] = None
        if cell.classes and not cell.classes.is_file():
            missing[f"the class names of {dataset}, {cell.classes}"] = None
    if missing:
        raise UsageError(
            f"{path} names files that are not there: {'; '.join(missing)}. Paths are relative to the manifest."
        )
