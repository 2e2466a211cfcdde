"""The server's errors: each has a status, a stable code and a message that says what to do next.

Clients get them as ``application/problem+json`` (RFC 9457), so no message contains a path of the server.
"""

from collections.abc import Mapping, Sequence


class ServiceError(Exception):
    """A request that fails.

    ``fields`` has ``(json_path, message)`` for each invalid field, ``headers`` the headers of the response.
    """

    status = 400
    code = "bad-request"
    title = "The request failed"

    def __init__(
        self, message: str, fields: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.fields = tuple(fields)
        self.headers = dict(headers or {})


class MalformedError(ServiceError):
    """The body is not JSON, or it is ambiguous JSON."""

    code = "malformed-json"
    title = "The body is not valid JSON"


class RangeError(ServiceError):
    """The Range header asks for bytes beyond the end."""

    status = 416
    code = "range-not-satisfiable"
    title = "The range cannot be satisfied"


class MediaTypeError(ServiceError):
    """The operation does not support the body's media type."""

    status = 415
    code = "unsupported-media-type"
    title = "Unsupported media type"


class NotFoundError(ServiceError):
    """There is no resource of that identity."""

    status = 404
    code = "not-found"
    title = "Not found"


class ConflictError(ServiceError):
    """The state of the resource does not allow the request."""

    status = 409
    code = "conflict"
    title = "Not allowed in the current state"


class OffsetError(ConflictError):
    """The request does not start at the upload's offset."""

    code = "wrong-offset"
    title = "The upload is at another offset"


class BusyUploadError(ConflictError):
    """Another request writes to the upload."""

    code = "upload-busy"
    title = "Another request writes to the upload"


class InUseError(ConflictError):
    """Another resource refers to it."""

    code = "in-use"
    title = "It is in use"


class IdempotencyError(ConflictError):
    """The Idempotency-Key was used for another request."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another request"


class InvalidError(ServiceError):
    """The request is well-formed, but invalid."""

    status = 422
    code = "invalid"
    title = "The request is invalid"


class ChecksumError(InvalidError):
    """The bytes received do not have the expected SHA-256."""

    code = "checksum-mismatch"
    title = "The SHA-256 does not match"


class RefusedError(InvalidError):
    """The check of a file refused it; code and title are the check's."""

    def __init__(
        self, code: str, title: str, message: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]
    ) -> None:
        super().__init__(message, fields, headers)
        self.code, self.title = code, title


class TooLargeError(ServiceError):
    """More bytes than the server accepts."""

    status = 413
    code = "too-large"
    title = "Too large"


class UnavailableError(ServiceError):
    """The server cannot handle the request now."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"


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
