"""Errors that the server returned, as exceptions."""

from collections.abc import Mapping

from calibrate.errors import AfternormError, UnsafeInputError, UsageError
from calibrate.errors import UnavailableError as Unavailable
from service.kit.problem import Problem

#: The exit codes of the command line for some error codes; the others have that of any failure.
EXIT_CODES: Mapping[str, int] = {
    "invalid": UsageError.exit_code,
    "unsafe-input": UnsafeInputError.exit_code,
    "unavailable": Unavailable.exit_code,
}


class RemoteError(AfternormError):
    """The server returned an error, its ``problem``."""

    def __init__(self, problem: Problem) -> None:
        fields = "; ".join(f"{field.path}: {field.message}" for field in problem.errors)
        super().__init__(f"{problem.detail}{f' ({fields})' if fields else ''}")
        self.problem = problem
        self.exit_code = EXIT_CODES.get(problem.code, AfternormError.exit_code)
