"""What the server refused, as an error of this side."""

from collections.abc import Mapping

from calibrate.errors import AfternormError, UnsafeInputError, UsageError
from calibrate.errors import UnavailableError as Unavailable
from service.kit.problem import Problem

#: How the command line ends for some of the codes; for the others as for any failure.
EXIT_CODES: Mapping[str, int] = {
    "invalid": UsageError.exit_code,
    "unsafe-input": UnsafeInputError.exit_code,
    "unavailable": Unavailable.exit_code,
}


class RemoteError(AfternormError):
    """The server said no; ``problem`` is its answer."""

    def __init__(self, problem: Problem) -> None:
        fields = "; ".join(f"{field.path}: {field.message}" for field in problem.errors)
        super().__init__(f"{problem.detail}{f' ({fields})' if fields else ''}")
        self.problem = problem
        self.exit_code = EXIT_CODES.get(problem.code, AfternormError.exit_code)
