"""Images that cannot be read, and how many of them may be left out."""

from collections.abc import Sequence

from calibrate.errors import DataError, UsageError
from calibrate.result import Finding

#: So many of them are named where that they are too many is an error.
NAMED = 5


def check_skip_broken(most: int) -> int:
    """The number of images that may be left out, where it is one."""
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
        raise UsageError(f"skip_broken is {most!r}; give the number of broken images that may be left out, from 0 on.")
    return most


def left_out(broken: Sequence[tuple[str, str]], among: int, source: str, most: int) -> tuple[Finding, ...]:
    """What is said of the images left out, each a name and a reason; DataError where they are more than ``most``.

    >>> left_out([("'a.png'", "it is damaged.")], 8, "pets", 2)[0].message
    "1 of 8 images of pets cannot be read and was left out, so that 7 are left: 'a.png'."
    """
    if len(broken) > most:
        named = ", ".join(name for name, _ in broken[:NAMED]) + (", …" if broken[NAMED:] else "")
        raise DataError(
            f"{len(broken)} of {among} images of {source} cannot be read, and at most {most} may be left out: {named}. "
            f"The first: {broken[0][1]} Replace or remove them, or raise --skip-broken."
        )
    if not broken:
        return ()
    if len(broken) == among:
        raise DataError(f"none of the {among} images of {source} can be read. The first: {broken[0][1]}")
    message = (
        f"{len(broken)} of {among} images of {source} cannot be read and {'were' if broken[1:] else 'was'} left out, "
        f"so that {among - len(broken)} are left: {', '.join(name for name, _ in broken)}."
    )
    return (Finding(code="images-skipped", severity="warning", message=message),)
