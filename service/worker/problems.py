"""The problem that clients see for each kind of failure. This module does not import torch."""

import errno
import sys
from collections.abc import Iterator
from pathlib import Path

from calibrate.errors import (
    AfternormError,
    DataError,
    ExportError,
    ModelError,
    RecipeError,
    UnavailableError,
    UnsafeInputError,
    UsageError,
)
from service.kit.problem import FieldProblem, Problem

#: The status, code and title of each class of errors; the first that matches counts.
TABLE: tuple[tuple[type[AfternormError], int, str, str], ...] = (
    (UnsafeInputError, 422, "unsafe-input", "The file is unsafe"),
    (RecipeError, 422, "recipe", "The recipe is invalid"),
    (UsageError, 422, "usage", "The job cannot run as requested"),
    (ModelError, 422, "model", "The checkpoint and its architecture do not fit"),
    (DataError, 422, "data", "The data cannot be read, or do not fit the model"),
    (UnavailableError, 503, "unavailable", "The server lacks what the job needs"),
    (ExportError, 500, "export", "The exported file does not match the network"),
    (AfternormError, 422, "failed", "The job failed"),
)
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
MAX_DETAIL_LENGTH = 4000


def problem_of(error: BaseException) -> Problem:
    """The problem for ``error``, without paths of the server."""
    if _ran_out_of_memory(error):
        return Problem(
            title="The job ran out of memory",
            status=422,
            code="out-of-memory",
            detail="the network, the batch or the data need more memory than a job may have; lower "
            "`settings.batch_size`, or use a smaller network.",
        )
    if _ran_out_of_space(error):
        return no_space()
    for kind, status, code, title in TABLE:
        if isinstance(error, kind):
            fields = error.fields if isinstance(error, RecipeError) else ()
            errors = tuple(FieldProblem(path=f"recipe.{path}", message=message) for path, message in fields)
            return Problem(title=title, status=status, code=code, detail=_without_paths(str(error)), errors=errors)
    return Problem(
        title="Internal error",
        status=500,
        code="internal",
        detail=f"the job ended with an unexpected error ({type(error).__name__}); the worker's log has the traceback, "
        "and the operator can report it.",
    )


def no_space() -> Problem:
    """The problem where the disk is full, or a file is larger than the limit."""
    return Problem(
        title="There is no space for the job's files",
        status=507,
        code="no-space",
        detail="a file of the job could not be stored, because the server's disk is full or the file is larger than "
        "a job may write; ask for fewer `outputs.formats`, or tell the operator.",
    )


def timed_out(seconds: float) -> Problem:
    """The problem where an attempt ran longer than its limit."""
    return Problem(
        title="The job took too long",
        status=422,
        code="timeout",
        detail=f"the job was stopped after {seconds:g} seconds, its limit; raise `timeout_seconds`, or use less data.",
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _ran_out_of_memory(error: BaseException) -> bool:
    return any(
        isinstance(link, MemoryError)
        or type(link).__name__ == "OutOfMemoryError"
        or (isinstance(link, RuntimeError) and "can't allocate memory" in str(link))
        or (isinstance(link, OSError) and link.errno == errno.ENOMEM)
        for link in _chain(error)
    )


def _ran_out_of_space(error: BaseException) -> bool:
    return any(isinstance(link, OSError) and link.errno in NO_SPACE for link in _chain(error))


def _without_paths(message: str) -> str:
    for path in (Path.cwd(), Path.cwd().parent, Path(sys.prefix), "../out"):
        message = message.replace(f"{path}/", "")
    return message[:MAX_DETAIL_LENGTH]
