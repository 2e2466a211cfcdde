"""The manifest: which networks, which data and which recipes a batch combines, as one closed value."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, field_validator

from calibrate.preprocessing import Preprocessing
from calibrate.recipe.outputs import Outputs
from calibrate.recipe.recipe import Recipe
from calibrate.values import NUMBER, Autocast, SkipBroken, SplitName, Value, WeightsPath

#: What may be the name of a folder on every system.
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._+=-]{0,98}[A-Za-z0-9_+=-])?")
_NAMES: dict[str, Any] = {"propertyNames": {"pattern": f"^{NAME.pattern}$"}}


def _kind(value: object) -> str:
    """The tag of what may be written in line or named."""
    return "<inline>" if isinstance(value, dict | BaseModel) else "<text>"


_Text = Annotated[str, Tag("<text>")]
RecipeOrName = Annotated[Annotated[Recipe, Tag("<inline>")] | _Text, Discriminator(_kind)]
PreprocessingOrFile = Annotated[Annotated[Preprocessing, Tag("<inline>")] | _Text, Discriminator(_kind)]


class ManifestModel(Value):
    """A checkpoint and its architecture, which a tuned file knows itself."""

    model: Annotated[
        str, Field(min_length=1, description="checkpoint, relative to the manifest; runs/*/best.pth is several")
    ]
    architecture: str | None = None
    architecture_args: dict[str, Any] | None = None
    weights: WeightsPath = None


class ManifestDataset(Value):
    """Labelled data, how their classes are the model's, and how images are prepared."""

    data: Annotated[
        str, Field(min_length=1, description="what --data takes, relative to the manifest; sets/*.zip is several")
    ]
    training_data: Annotated[
        str | None,
        Field(
            min_length=1,
            description="examples that the models were trained on, given as data are, for the steps that use them",
        ),
    ] = None
    classes: Annotated[str | None, Field(description="file of the model's class names: one a line, JSON or YAML")] = (
        None
    )
    class_map: Annotated[str | None, Field(description="file that says which class of the model each is")] = None
    split: SplitName = None
    skip_broken: SkipBroken = 0
    preprocessing: Annotated[
        PreprocessingOrFile | None, Field(description="in line or a file; else the architecture's own")
    ] = None


class RunSettings(Value):
    """How every run of a batch is carried out; changes speed, and the last digits of the results."""

    batch_size: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None,
        Field(description="examples per forward pass; else as many as keep its largest tensor small, 64 at most"),
    ] = None
    device: Annotated[str, Field(description="cpu, cuda, cuda:1, or auto")] = "auto"
    threads: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None,
        Field(description="CPU threads of each run; else torch's own choice"),
    ] = None
    autocast: Annotated[
        Autocast | None,
        Field(description="precision of torch's autocast in passes that predict; changes more than the last digits"),
    ] = None


class Manifest(Value):
    """Every model with every dataset and every recipe is one run; the names name its folder and its line.

    Paths are relative to the manifest. A recipe is a preset's name, a recipe file or written in line.

    >>> Manifest(models={"a": {"model": "a.pth"}}, datasets={"b": {"data": "b.npz"}}, recipes={"c": "alpha"}).version
    1
    """

    version: Annotated[Literal[1], NUMBER] = 1
    models: Annotated[dict[str, ManifestModel], Field(min_length=1, json_schema_extra=_NAMES)]
    datasets: Annotated[dict[str, ManifestDataset], Field(min_length=1, json_schema_extra=_NAMES)]
    recipes: Annotated[dict[str, RecipeOrName], Field(min_length=1, json_schema_extra=_NAMES)]
    outputs: Outputs = Outputs()
    settings: RunSettings = RunSettings()

    @field_validator("models", "datasets", "recipes")
    @classmethod
    def _folder_names(cls, named: dict[str, Any]) -> dict[str, Any]:
        """Each name becomes a folder, also on systems that do not tell a from A."""
        seen: dict[str, str] = {}
        for name in named:
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"the name {name!r} cannot name a folder; use up to 100 letters, digits and . _ + = -, "
                    "with a letter or digit first and no . last"
                )
            if name.lower() in seen:
                raise ValueError(f"the names {seen[name.lower()]!r} and {name!r} differ in case only; rename one")
            seen[name.lower()] = name
        return named
