"""Options that several commands share."""

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibrate.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from service.client import Client

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="AFTERNORM_DATA_DIR",
        help="Directory of the database and all files. Default: ./data.",
        show_default=False,
    ),
]
CpuSlots = Annotated[
    int | None,
    typer.Option(
        min=0, envvar="AFTERNORM_CPU_SLOTS", help="Concurrent jobs on the CPU. Default: 1.", show_default=False
    ),
]
GpuSlots = Annotated[
    int | None,
    typer.Option(min=0, envvar="AFTERNORM_GPU_SLOTS", help="Concurrent jobs on GPUs. Default: 0.", show_default=False),
]

Url = Annotated[str, typer.Option("--url", envvar="AFTERNORM_URL", help="URL of the server.")]
Name = Annotated[str | None, typer.Option(help="Its name. Default: the file's name.", show_default=False)]
DEFAULT_URL = "http://127.0.0.1:8000"


def require_server() -> None:
    """Raise UnavailableError where the server's libraries are not installed."""
    try:
        import fastapi  # noqa: F401
        import sqlalchemy  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            f'the server needs {error.name}, which is not installed; run `pip install "afternorm[serve]"`.'
        ) from None


def check_host(host: str, without_keys: bool) -> None:
    """Raise UsageError for an address that other machines can reach, unless ``without_keys``.

    >>> check_host("127.0.0.1", without_keys=False)
    >>> check_host("localhost", without_keys=False)
    """
    if without_keys or _is_loopback(host):
        return
    raise UsageError(
        f"--host {host} can be reached from outside, and there are no API keys yet: anyone could run jobs. Keep "
        "127.0.0.1 and put a proxy that asks for credentials in front, or pass --without-keys where the network itself "
        "is closed."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connect(url: str) -> "Client":
    """A client of the server at ``url``."""
    try:
        from service.client import Client
    except ImportError as error:
        raise UnavailableError(
            f'the client of a server needs {error.name}, which is not installed; run `pip install "afternorm[serve]"`.'
        ) from None
    return Client(url)
