"""Every refusal the server makes: each has a status, a stable code and a message that says what to do next.

The messages reach clients as ``application/problem+json`` (RFC 9457), so none holds a path of the server.
"""

from collections.abc import Mapping, Sequence


class ServiceError(Exception):
    """A request that cannot be carried out.

    ``fields`` holds ``(json_path, message)`` for each part at fault, ``headers`` what HTTP wants beside the message.
    """

    status = 400
    code = "bad-request"
    title = "The request cannot be carried out"

    def __init__(
        self, message: str, fields: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.fields = tuple(fields)
        self.headers = dict(headers or {})


class MalformedError(ServiceError):
    """The bytes of the request are not JSON, or JSON that can be read in two ways."""

    code = "malformed-json"
    title = "The body is not proper JSON"


class RangeError(ServiceError):
    """The Range header asks for bytes that are not there."""

    status = 416
    code = "range-not-satisfiable"
    title = "There are no such bytes"


class MediaTypeError(ServiceError):
    """The body is of a type that the operation does not read."""

    status = 415
    code = "unsupported-media-type"
    title = "The body has the wrong type"


class NotFoundError(ServiceError):
    """Nothing has that identity."""

    status = 404
    code = "not-found"
    title = "There is no such thing"


class ConflictError(ServiceError):
    """The state of the thing forbids it."""

    status = 409
    code = "conflict"
    title = "The current state forbids it"


class OffsetError(ConflictError):
    """The bytes sent do not continue where the upload stands."""

    code = "wrong-offset"
    title = "The upload stands elsewhere"


class BusyUploadError(ConflictError):
    """Another request writes to the upload."""

    code = "upload-busy"
    title = "Another request writes to the upload"


class InUseError(ConflictError):
    """Something else refers to it."""

    code = "in-use"
    title = "It is still referred to"


class IdempotencyError(ConflictError):
    """The Idempotency-Key was used for another request."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another request"


class InvalidError(ServiceError):
    """The request is well-formed, and asks for what the rules do not allow."""

    status = 422
    code = "invalid"
    title = "The request breaks a rule"


class ChecksumError(InvalidError):
    """The bytes that arrived are not those that were announced."""

    code = "checksum-mismatch"
    title = "The bytes are not those that were announced"


class RefusedError(InvalidError):
    """A file was opened in the sandbox and refused there, with a code and a title of its own."""

    def __init__(
        self, code: str, title: str, message: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]
    ) -> None:
        super().__init__(message, fields, headers)
        self.code, self.title = code, title


class TooLargeError(ServiceError):
    """More bytes than this server takes."""

    status = 413
    code = "too-large"
    title = "Too many bytes"


class UnavailableError(ServiceError):
    """The server cannot do it now."""

    status = 503
    code = "unavailable"
    title = "Not now"


class StorageFullError(ServiceError):
    """The disk is full."""

    status = 507
    code = "storage-full"
    title = "The disk is full"


class NewerDatabaseError(ServiceError):
    """The database was written by a newer version of the server."""

    status = 503
    code = "newer-database"
    title = "The database is newer than the server"
