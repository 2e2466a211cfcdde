"""Models in the REST API: requests and responses."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from calibrate.recipe import Preprocessing
from calibrate.values import Value, WeightsPath
from service.kit.file_source import BlobReference, FileSource, Identity, Name
from service.kit.problem import Problem

State = Literal["checking", "ready", "refused"]


class ModelRequest(FileSource):
    """A checkpoint and its architecture; a file that Afternorm tuned contains its architecture."""

    name: Annotated[Name | None, Field(description="default: the file's name")] = None
    architecture: Annotated[Name | None, Field(description="as in torchvision/resnet50")] = None
    architecture_args: Annotated[dict[str, Any], Field(default_factory=dict)]
    weights: Annotated[WeightsPath, Field(min_length=1, max_length=200)] = None
    preprocessing: Annotated[Preprocessing | None, Field(description="default: the architecture's own")] = None
    class_names: Annotated[tuple[Name, ...] | None, Field(min_length=2, max_length=100_000)] = None


class Model(Value):
    """A model. It has ``facts`` once it is ``ready``; ``problem`` says why it is ``refused``."""

    id: Identity
    name: str
    state: State
    file_name: str
    blob: BlobReference
    architecture: str | None
    architecture_args: dict[str, Any]
    weights: Annotated[str | None, Field(description="as asked for; `facts` says which were taken")]
    preprocessing: Preprocessing | None
    class_names: tuple[str, ...] | None
    facts: Annotated[
        dict[str, Any] | None, Field(description="architecture, parameters, outputs, sites, weights, findings")
    ]
    problem: Problem | None
    created_at: datetime
