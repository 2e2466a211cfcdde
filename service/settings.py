"""The server's settings; each field is an environment variable ``AFTERNORM_<FIELD>``."""

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
    """The settings of a server and its worker.

    >>> Settings.from_environment({"AFTERNORM_CPU_SLOTS": "2"}).cpu_slots
    2
    """

    model_config = ConfigDict(validate_default=True)

    data_dir: Annotated[Path, Field(description="directory of the database and all files")] = Path("data")
    cpu_slots: Annotated[int, Field(ge=0, le=256, description="concurrent jobs on the CPU")] = 1
    gpu_slots: Annotated[int, Field(ge=0, le=64, description="concurrent jobs on GPUs, one GPU each")] = 0
    attempts: Annotated[int, Field(ge=1, le=20, description="lost attempts until a job fails")] = 3
    lease_seconds: Annotated[Seconds, Field(description="a job is requeued after so long without a heartbeat")] = 15.0
    heartbeat_seconds: Annotated[Seconds, Field(description="how often a worker renews its leases")] = 3.0
    grace_seconds: Annotated[Seconds, Field(description="between SIGTERM and SIGKILL")] = 1.5
    drain_seconds: Annotated[float, Field(ge=0, description="for running jobs to finish at shutdown")] = 20.0
    timeout_seconds: Annotated[Seconds, Field(description="limit of an attempt; a job may set a lower one")] = (
        24 * 3600.0
    )
    memory_bytes: Annotated[int, Field(ge=1024 * MIB, description="data memory of a job's process (RLIMIT_DATA)")] = (
        64 * 1024 * MIB
    )
    file_bytes: Annotated[int, Field(ge=MIB, description="largest file a job may write (RLIMIT_FSIZE)")] = (
        16 * 1024 * MIB
    )
    upload_bytes: Annotated[int, Field(ge=1, description="largest upload")] = 64 * 1024 * MIB
    upload_hours: Annotated[Seconds, Field(description="until an incomplete upload expires")] = 24.0
    check_wait_seconds: Annotated[float, Field(ge=0, description="how long a registration waits for its check")] = 30.0
    factories: Annotated[
        tuple[str, ...], Field(description="permitted package.module:factory architectures, comma-separated")
    ] = ()

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        """Made absolute, since the process of a job has another working directory."""
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
                "late heartbeat would requeue a running job"
            )
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """The settings in ``environment`` (default: the process's); arguments that are not None override it."""
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
