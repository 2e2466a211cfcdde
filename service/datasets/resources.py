"""Datasets in the REST API: requests and responses."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from calibrate.values import SkipBroken, SplitName, Value
from service.kit.file_source import BlobReference, FileSource, Identity, Name
from service.kit.problem import Problem

State = Literal["checking", "ready", "refused"]


class DatasetRequest(FileSource):
    """Examples in one file, with or without labels; ``class_map`` maps their classes to the model's.

    Of a file that holds several parts (folders train, val, test; arrays such as val_images) ``split`` names the one to
    read; else it is val, or else test, and of a job's training_dataset train.
    """

    name: Annotated[Name | None, Field(description="default: the file's name")] = None
    class_map: Annotated[
        dict[str, Name | Annotated[int, Field(ge=0, lt=2**31)]] | None,
        Field(min_length=1, max_length=100_000, description="data class -> the model's class: its name or number"),
    ] = None
    split: Annotated[SplitName, Field(max_length=200)] = None
    skip_broken: SkipBroken = 0


class Dataset(Value):
    """A dataset. It has ``facts`` once it is ``ready``; ``problem`` says why it is ``refused``."""

    id: Identity
    name: str
    state: State
    file_name: str
    blob: BlobReference
    class_map: dict[str, str | int] | None
    split: str | None
    skip_broken: int
    facts: Annotated[
        dict[str, Any] | None, Field(description="kind, number of examples, classes (null without labels)")
    ]
    problem: Problem | None
    created_at: datetime
