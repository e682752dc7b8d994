"""One wrong field, in the words of Kubernetes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

ErrorType = Literal[
    "Required", "Invalid", "NotSupported", "NotFound", "Duplicate", "TooLong", "TooMany", "TypeInvalid", "Forbidden"
]

_REASONS: dict[str, tuple[str, str]] = {
    "Required": ("FieldValueRequired", "Required value"),
    "Invalid": ("FieldValueInvalid", "Invalid value"),
    "TypeInvalid": ("FieldValueTypeInvalid", "Invalid value"),
    "NotFound": ("FieldValueNotFound", "Not found"),
    "NotSupported": ("FieldValueNotSupported", "Unsupported value"),
    "Duplicate": ("FieldValueDuplicate", "Duplicate value"),
    "TooLong": ("FieldValueTooLong", "Too long"),
    "TooMany": ("FieldValueTooMany", "Too many"),
    "Forbidden": ("FieldValueForbidden", "Forbidden"),
}
BLOCKING = frozenset(("Required", "TypeInvalid", "NotSupported", "TooLong", "TooMany"))
"""Errors after which validation rules are not evaluated: they could not trust the value's shape and size."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """A field that breaks its schema. `field` is its path (`spec.clusters[0].name`)."""

    field: str
    type: ErrorType
    value: Any
    detail: str = ""

    @property
    def reason(self) -> str:
        """The `reason` of the cause in a Status."""
        return _REASONS[self.type][0]

    def body(self) -> str:
        """The sentence without the field."""
        words = _REASONS[self.type][1]
        if self.type not in ("Required", "Forbidden", "TooLong") and self.value is not OMITTED:
            words = f"{words}: {spell(self.value)}"
        return f"{words}: {self.detail}" if self.detail else words

    def message(self) -> str:
        """The sentence as Kubernetes words it: `spec.x: Invalid value: 2: must be odd`."""
        return f"{self.field}: {self.body()}"

    def cause(self) -> dict[str, str]:
        """The entry of `details.causes` in a Status."""
        return {"reason": self.reason, "message": self.body(), "field": self.field}


NOT_CHECKED = FieldError(
    "<nil>",
    "Invalid",
    None,
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)
"""What a server adds when it did not evaluate the rules."""


class Verbatim(str):
    """A value that is already spelled as it shall read in a message."""

    __slots__ = ()


OMITTED = Verbatim()
"""Stands for a value that messages leave out."""


def spell(value: Any) -> str:
    """A value inside an error message."""
    if isinstance(value, Verbatim):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


Place: TypeAlias = "tuple[Any, str | int] | str"
"""Where a value is: (the place of its parent, field name or index), or the text at the root. Spelled out only when an
error needs it, for most values are right."""


def step(place: Place, name: str | int) -> Place:
    """The place one level down."""
    return (place, name)


def path_of(place: Place) -> str:
    """The path as text."""
    parts: list[str | int] = []
    while not isinstance(place, str):
        parts.append(place[1])
        place = cast(Place, place[0])
    text = place
    for part in reversed(parts):
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text = f"{text}.{part}" if text else part
    return text
