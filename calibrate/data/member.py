"""What any archive's member, or any listed file, must not be: named to lead outside, or absurdly large."""

import re
from pathlib import PurePosixPath

from calibrate.data.files import MAX_BYTES
from calibrate.errors import UnsafeInputError


def leads_outside(raw: str) -> bool:
    r"""Whether a relative name with ``/`` could lead outside its root, on any system.

    >>> [leads_outside(name) for name in ("cat/1.png", "../1.png", "/1.png", "c:1.png", "cat\\1.png")]
    [False, True, True, True, True]
    """
    return bool(
        "\\" in raw or "\0" in raw or raw.startswith("/") or re.match("[A-Za-z]:", raw) or ".." in raw.split("/")
    )


def checked_name(raw: str, archive: object) -> str:
    """The member's name in its shortest form, where it leads nowhere else."""
    if leads_outside(raw):
        raise UnsafeInputError(
            f"{archive} has a member named {raw!r}, a name that could lead outside the archive; make the archive "
            f"with relative names and forward slashes."
        )
    return str(PurePosixPath(raw))


def check_size(name: str, size: int, archive: object) -> None:
    """Refuse a member that declares more bytes than any image needs."""
    if size > MAX_BYTES:
        raise UnsafeInputError(
            f"{name!r} in {archive} declares {size} bytes, more than the limit of {MAX_BYTES // 2**20} MiB, which no "
            f"image should need; remove it."
        )
