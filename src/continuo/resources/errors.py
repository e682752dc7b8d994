"""The errors of a Kubernetes API, as one tree.

    ApiError
    +- BadRequest 400   Unauthorized 401   Forbidden 403   NotFound 404   MethodNotAllowed 405   NotAcceptable 406
    +- AlreadyExists 409   Conflict 409   Expired 410   TooLarge 413   UnsupportedMediaType 415   Invalid 422
    +- TooManyRequests 429   InternalError 500   ServiceUnavailable 503   Timeout 504
    +- Unreachable        no answer at all: connection refused, reset, timed out, TLS failure

The same words and HTTP codes as `meta/v1 Status`. The client raises them, the embedded API server answers with them.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ApiError(Exception):
    """A request that an API refused, or could not serve. `str()` is one sentence for people."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(self, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asked to wait, if it said so."""
        value = self.details.get("retryAfterSeconds")
        return float(value) if value is not None else None

    def to_status(self) -> dict[str, Any]:
        """The `meta/v1 Status` body for this error."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = self.details
        return status


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class Expired(ApiError):
    """The asked resourceVersion or continue token is older than what the server keeps: list again."""

    code, reason = 410, "Expired"


class TooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    """The object breaks its schema; `details["causes"]` names each field."""

    code, reason = 422, "Invalid"


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


class Unreachable(ApiError):
    """Nothing answered: refused, reset, timed out, or the certificate did not fit."""

    code, reason = 503, "Unreachable"


_BY_REASON: dict[str, type[ApiError]] = {
    cls.reason: cls
    for cls in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, AlreadyExists, Conflict,
        Expired, TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError, ServiceUnavailable, Timeout,
    )
}  # fmt: skip
_BY_REASON["Gone"] = Expired
_BY_CODE: dict[int, type[ApiError]] = {cls.code: cls for cls in reversed(list(_BY_REASON.values()))}
_BY_CODE[409] = Conflict


def from_status(status: dict[str, Any], http_code: int | None = None) -> ApiError:
    """The error for a `Status` body (or for a bare HTTP code where the body was something else)."""
    code = int(status.get("code") or http_code or 500)
    cls = _BY_REASON.get(str(status.get("reason") or "")) or _BY_CODE.get(code) or InternalError
    return cls(str(status.get("message") or f"HTTP {code}"), details=status.get("details"))
