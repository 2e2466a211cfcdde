"""Settings: how this server runs, as one frozen value; every field is an environment variable ``AFTERNORM_<FIELD>``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from calibrate.errors import UsageError
from calibrate.values import Value

PREFIX = "AFTERNORM_"

Seconds = Annotated[float, Field(gt=0)]
MIB = 2**20


class Settings(Value):
    """How this server runs.

    >>> Settings.from_environment({"AFTERNORM_CPU_SLOTS": "2"}).cpu_slots
    2
    """

    model_config = ConfigDict(validate_default=True)

    data_dir: Annotated[Path, Field(description="everything the server keeps: database and blobs")] = Path("data")
    cpu_slots: Annotated[int, Field(ge=0, le=256, description="jobs at a time on the CPU")] = 1
    gpu_slots: Annotated[int, Field(ge=0, le=64, description="jobs at a time on GPUs, one GPU each")] = 0
    attempts: Annotated[
        int, Field(ge=1, le=20, description="attempts at a job that dies through no fault of its own")
    ] = 3
    lease_seconds: Annotated[
        Seconds, Field(description="a job whose worker is silent for so long is started again")
    ] = 15.0
    heartbeat_seconds: Annotated[Seconds, Field(description="how often a worker says that it lives")] = 3.0
    grace_seconds: Annotated[Seconds, Field(description="between SIGTERM and SIGKILL")] = 1.5
    drain_seconds: Annotated[float, Field(ge=0, description="for running jobs to end when the worker is stopped")] = (
        20.0
    )
    timeout_seconds: Annotated[Seconds, Field(description="for one attempt at a job, unless the job asks for less")] = (
        24 * 3600.0
    )
    memory_bytes: Annotated[int, Field(ge=1024 * MIB, description="data memory of a job's process (RLIMIT_DATA)")] = (
        64 * 1024 * MIB
    )
    file_bytes: Annotated[int, Field(ge=MIB, description="largest file a job may write (RLIMIT_FSIZE)")] = (
        16 * 1024 * MIB
    )
    upload_bytes: Annotated[int, Field(ge=1, description="largest upload")] = 64 * 1024 * MIB
    upload_hours: Annotated[Seconds, Field(description="for an upload to be completed")] = 24.0
    check_wait_seconds: Annotated[float, Field(ge=0, description="how long registering waits for the file's check")] = (
        30.0
    )
    factories: Annotated[
        tuple[str, ...], Field(description="package.module:factory architectures that REST may name, with commas")
    ] = ()

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        """A job's process works in a folder of its own, and must find the files all the same."""
        return value.expanduser().absolute()

    @field_validator("factories", mode="before")
    @classmethod
    def _commas(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _lease_outlasts_heartbeats(self) -> Self:
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise ValueError(
                f"lease_seconds is {self.lease_seconds:g}, less than two heartbeats of {self.heartbeat_seconds:g}; one "
                "late heartbeat would start a job twice"
            )
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """The settings in ``environment`` (default: the process's); what is ``given`` and not None goes first."""
        environment = os.environ if environment is None else environment
        named = {name: environment[key] for name in cls.model_fields if (key := PREFIX + name.upper()) in environment}
        try:
            return cls.model_validate({**named, **{name: value for name, value in given.items() if value is not None}})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else "the settings"
            raise UsageError(
                f"{name} cannot be used: {first['msg']}; correct it, or unset it for the default."
            ) from None
