"""The API's refusals in Kubernetes' words, with the details that clients read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from continuo.resources.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from continuo.resources.meta import Kind


class FieldProblem(Protocol):
    """What is wrong with one field: `machinery.schema.FieldError` and `Problem` here."""

    @property
    def field(self) -> str: ...
    @property
    def type(self) -> str: ...
    def message(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Problem:
    """A field problem that a rule in this package found. `text` is everything after the field's path."""

    field: str
    type: str
    text: str

    def message(self) -> str:
        """The sentence, starting with the field."""
        return f"{self.field}: {self.text}"


def required(field: str, detail: str = "") -> Problem:
    """The field has to be there."""
    return Problem(field, "FieldValueRequired", f"Required value{': ' + detail if detail else ''}")


def invalid_value(field: str, value: Any, detail: str) -> Problem:
    """The field's value is not acceptable."""
    return Problem(field, "FieldValueInvalid", f"Invalid value: {shown(value)}: {detail}")


def forbidden_field(field: str, detail: str) -> Problem:
    """The field must not be set or changed like this."""
    return Problem(field, "FieldValueForbidden", f"Forbidden: {detail}")


def unsupported(field: str, value: Any, supported: Sequence[str]) -> Problem:
    """The value is not in the list of those that are."""
    listed = ", ".join(f'"{entry}"' for entry in supported)
    return Problem(field, "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {listed}")


def shown(value: Any) -> str:
    """A value as messages show it."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    return json.dumps(value)


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
    return Conflict(
        f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}', details=details(kind, name)
    )


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


def invalid(kind: Kind, name: str, problems: Sequence[FieldProblem]) -> Invalid:
    """The object breaks rules: all of them are named."""
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    messages = list(dict.fromkeys(problem.message() for problem in problems))
    text = messages[0] if len(messages) == 1 else "[" + ", ".join(messages) + "]"
    found = details(kind, name) | {"kind": kind.kind}
    found["causes"] = [
        {"reason": problem.type, "message": _cause(problem), "field": problem.field} for problem in problems
    ]
    return Invalid(f'{qualified} "{name}" is invalid: {text}', details=found)


def _cause(problem: FieldProblem) -> str:
    message = problem.message()
    prefix = f"{problem.field}: "
    return message[len(prefix) :] if problem.field and message.startswith(prefix) else message
