"""The API's refusals in Kubernetes' words, with the details that clients read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from continuo.embedded.machinery.fields import FieldError
from continuo.resources.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from continuo.resources.meta import Kind


def required(field: str, detail: str = "") -> FieldError:
    """The field has to be there."""
    return FieldError(field, "Required", "", detail)


def invalid_value(field: str, value: Any, detail: str) -> FieldError:
    """The field's value is not acceptable."""
    return FieldError(field, "Invalid", value, detail)


def forbidden_field(field: str, detail: str) -> FieldError:
    """The field must not be set or changed like this."""
    return FieldError(field, "Forbidden", None, detail)


def unsupported(field: str, value: Any, supported: Sequence[str]) -> FieldError:
    """The value is not in the list of those that are."""
    return FieldError(field, "NotSupported", value, "supported values: " + ", ".join(f'"{s}"' for s in supported))


def details(kind: Kind, name: str, uid: str = "") -> dict[str, Any]:
    """`details` of a Status about one object; its `kind` is the resource, as in Kubernetes."""
    found: dict[str, Any] = {"name": name, "kind": kind.plural}
    if kind.group:
        found["group"] = kind.group
    if uid:
        found["uid"] = uid
    return found


def not_found(kind: Kind, name: str) -> NotFound:
    """There is no such object."""
    return NotFound(f'{kind.resource} "{name}" not found', details=details(kind, name))


def already_exists(kind: Kind, name: str) -> AlreadyExists:
    """The name is taken."""
    return AlreadyExists(f'{kind.resource} "{name}" already exists', details=details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> Conflict:
    """A precondition does not hold."""
    return Conflict(f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}', details=details(kind, name))


def deletion_conflict(kind: Kind, name: str, why: str) -> Conflict:
    """A precondition of a deletion does not hold. Kubernetes names the kind here, not the resource."""
    named = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    found = details(kind, name) | {"kind": kind.kind}
    return Conflict(f'Operation cannot be fulfilled on {named} "{name}": {why}', details=found)


def stale(kind: Kind, name: str) -> Conflict:
    """The writer saw an older version."""
    return conflict(
        kind, name, "the object has been modified; please apply your changes to the latest version and try again"
    )


def forbidden(kind: Kind, name: str, why: str, causes: Sequence[dict[str, Any]] = ()) -> Forbidden:
    """The rules of the API (not of authorization) forbid it."""
    found = details(kind, name)
    if causes:
        found["causes"] = list(causes)
    return Forbidden(f'{kind.resource} "{name}" is forbidden: {why}', details=found)


def invalid(kind: Kind, name: str, problems: Sequence[FieldError]) -> Invalid:
    """The object breaks rules: all of them are named."""
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    messages = list(dict.fromkeys(problem.message() for problem in problems))
    text = messages[0] if len(messages) == 1 else "[" + ", ".join(messages) + "]"
    found = details(kind, name) | {"kind": kind.kind}
    found["causes"] = [problem.cause() for problem in problems]
    return Invalid(f'{qualified} "{name}" is invalid: {text}', details=found)
