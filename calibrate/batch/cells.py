"""The cells of a manifest: every model with every dataset and every recipe, with nothing left to look up."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from calibrate.batch.patterns import expand, is_there
from calibrate.errors import UsageError
from calibrate.recipe import PRESETS, Manifest, Preprocessing, Recipe, read, read_recipe, words_of_training_data_use
from calibrate.request import RunRequest

URL = re.compile("[A-Za-z][A-Za-z0-9+.:-]*://")
TORCHVISION = "torchvision:"


@dataclass(frozen=True, slots=True)
class Combination:
    """One run to be: its names in the manifest, and what is asked for.

    ``files`` and ``training_files`` are where its data lie, None where that is not on this machine or there are none.
    """

    names: tuple[str, str, str]
    request: RunRequest
    files: Path | None
    training_files: Path | None = None

    @property
    def name(self) -> str:
        """Model, dataset and recipe, as in the path of the run's folder."""
        return "/".join(self.names)


def read_cells(
    path: Path, *, tell: Callable[[str], None] | None = None, **settings: str | int | None
) -> tuple[Combination, ...]:
    """The cells of the manifest at ``path``, in its order; those ``settings`` that are not None replace its own.

    Entries with a pattern for a path stand for all files that it matches; ``tell`` hears which these are.
    Raises UsageError for a manifest that is not valid, and for every file it names that is not there.
    """
    manifest, sentences = expand(read(Manifest, path), path)
    if tell is not None:
        for sentence in sentences:
            tell(sentence)
    folder = path.absolute().parent
    recipes = {name: _recipe(given, folder) for name, given in manifest.recipes.items()}
    shapes = {name: _preprocessing(item.preprocessing, folder) for name, item in manifest.datasets.items()}
    chosen = manifest.settings.model_copy(update={name: value for name, value in settings.items() if value is not None})
    places = {name: _data(item.data, folder) for name, item in manifest.datasets.items()}
    training = {
        name: (None, None) if item.training_data is None else _data(item.training_data, folder)
        for name, item in manifest.datasets.items()
    }
    cells = tuple(
        Combination(
            names=(model_name, dataset_name, recipe_name),
            request=RunRequest(
                model=folder / model.model,
                architecture=model.architecture,
                architecture_args=model.architecture_args,
                weights=model.weights,
                classes=folder / dataset.classes if dataset.classes else None,
                class_map=folder / dataset.class_map if dataset.class_map else None,
                split=dataset.split,
                skip_broken=dataset.skip_broken,
                preprocessing=shapes[dataset_name],
                data=places[dataset_name][0],
                training_data=training[dataset_name][0] if _uses_training_data(recipe) else None,
                recipe=recipe,
                outputs=manifest.outputs,
                settings=chosen,
            ),
            files=places[dataset_name][1],
            training_files=training[dataset_name][1] if _uses_training_data(recipe) else None,
        )
        for model_name, model in manifest.models.items()
        for dataset_name, dataset in manifest.datasets.items()
        for recipe_name, recipe in recipes.items()
    )
    _refuse_missing(path, cells)
    _refuse_unused(path, manifest, cells)
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


def _uses_training_data(recipe: Recipe) -> bool:
    """Whether ``recipe`` is to be given them; others, beside it in the manifest, have no use for them."""
    return any(step.training_data != "unused" for step in recipe.steps)


def _refuse_unused(path: Path, manifest: Manifest, cells: tuple[Combination, ...]) -> None:
    given = [name for name, dataset in manifest.datasets.items() if dataset.training_data is not None]
    if given and not any(cell.request.training_data for cell in cells):
        raise UsageError(
            f"{path} gives {given[0]} training_data, and none of its recipes uses them; leave training_data out, or "
            f"add a recipe with a step that does: {words_of_training_data_use()}."
        )


def _is_file(place: Path) -> bool:
    return is_there(place) and place.is_file()


def _refuse_missing(path: Path, cells: tuple[Combination, ...]) -> None:
    missing: dict[str, None] = {}
    for cell in cells:
        model, dataset, _ = cell.names
        request = cell.request
        if not _is_file(request.model):
            missing[f"the checkpoint of {model}, {request.model}"] = None
        for what, place in (("data", cell.files), ("training data", cell.training_files)):
            if place and not is_there(place):
                missing[f"the {what} of {dataset}, {place}"] = None
        for what, file in (("class names", request.classes), ("class map", request.class_map)):
            if isinstance(file, Path) and not _is_file(file):
                missing[f"the {what} of {dataset}, {file}"] = None
    if missing:
        raise UsageError(
            f"{path} names files that are not there: {'; '.join(missing)}. Paths are relative to the manifest."
        )
