"""What the HTTP face refuses, as RFC 9457 problems: one class, stable codes, one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from continuo.resources.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    Unauthorized,
)

MEDIA_TYPE = "application/problem+json"
TITLES: Mapping[int, str] = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    410: "Gone",
    412: "Changed meanwhile",
    413: "Body too large",
    415: "Media type not supported",
    422: "Cannot be processed",
    428: "Precondition required",
    429: "Too many requests",
    500: "Internal error",
    502: "The management cluster refused the server",
    503: "Not available",
}


@dataclass(eq=False)
class Problem(Exception):
    """A request that is refused. `code` never changes for the same cause; `detail` is a sentence for people."""

    status: int
    code: str
    detail: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The body."""
        title = TITLES.get(self.status, "Failed")
        head = {"type": "about:blank", "title": title, "status": self.status, "code": self.code, "detail": self.detail}
        return {**head, **self.extra}


def from_api(error: ApiError) -> Problem:
    """What an answer of the management cluster means to a caller of ours."""
    if isinstance(error, Invalid | BadRequest):
        causes = error.details.get("causes") or []
        return Problem(422, "refused-by-cluster", str(error), {"causes": causes})
    if isinstance(error, TooLarge):
        return Problem(409, "orchestration-full", f"{error}; use another orchestration for this application")
    if isinstance(error, Forbidden | Unauthorized | MethodNotAllowed | NotFound):
        return Problem(502, "management-refused", f"the management cluster refused what this server asked: {error}")
    if isinstance(error, Conflict):
        return busy(f"others keep writing: {error}")
    return Problem(503, "management-unavailable", str(error), headers={"Retry-After": "5"})


def busy(detail: str) -> Problem:
    """The same request may succeed in a moment."""
    return Problem(503, "busy", detail, headers={"Retry-After": "1"})
