"""What bodies say: each field once, for reading them and for the OpenAPI document; all that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request

from continuo.iot.hub.refusals import Refused, bad

MOST = 4 << 20
"""Bytes of a body: plugins carry their code in it."""
_WORDS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "string": (str, "a text"), "integer": (int, "a whole number"), "boolean": (bool, "true or false"),
    "object": (dict, "an object"), "array": (list, "a list"),
}  # fmt: skip

Check = Callable[[Any], str | None]
"""What is wrong with a value of the right kind."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a body."""

    name: str
    kind: str
    """JSON schema's word for it."""
    required: bool = False
    most: int | None = None
    """Characters, or the largest number."""
    least: int | None = None
    choices: tuple[str, ...] = ()
    check: Check | None = None
    free: bool = False
    """Null is as good as nothing."""

    def problems(self, value: Any) -> list[str]:
        """What is wrong with a value."""
        if value is None:
            return [f"{self.name} is missing"] if self.required and not self.free else []
        kind, word = _WORDS[self.kind]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return [f"{self.name} must be {word}, not {_short(value)}"]
        return [f"{self.name} {said}" for said in self._bounds(value)]

    def _bounds(self, value: Any) -> list[str]:
        found = []
        if isinstance(value, str):
            if self.most is not None and len(value) > self.most:
                found.append(f"has {len(value)} characters; {self.most} are possible")
            if len(value) < (self.least or 0):
                found.append("must not be empty" if self.least == 1 else f"needs {self.least} characters at least")
            if "\0" in value:
                found.append("must not have a null character")
            if self.choices and value not in self.choices:
                found.append(f"{_short(value)} is none of {', '.join(self.choices)}")
        elif self.kind == "integer" and not self._least <= value <= self._most:
            found.append(f"{value} is not between {self.least} and {self.most}")
        if self.check is not None and (said := self.check(value)):
            found.append(said)
        return found

    @property
    def _least(self) -> float:
        return float("-inf") if self.least is None else self.least

    @property
    def _most(self) -> float:
        return float("inf") if self.most is None else self.most

    def schema(self) -> dict[str, Any]:
        """For OpenAPI."""
        told: dict[str, Any] = {"type": self.kind}
        if self.kind == "string":
            told.update(
                {"maxLength": self.most} if self.most else {}, **({"minLength": self.least} if self.least else {})
            )
            told.update({"enum": list(self.choices)} if self.choices else {})
        elif self.kind == "integer":
            told.update({"maximum": self.most} if self.most else {}, **({"minimum": self.least} if self.least else {}))
        elif self.kind == "array":
            told["items"] = {}
        return told


@dataclass(frozen=True, slots=True)
class Shape:
    """A body: its fields, and fields of the object that may be said but are never changed."""

    fields: tuple[Field, ...]
    ignored: frozenset[str] = frozenset()

    def read(self, said: Any, *, partial: bool = False) -> dict[str, Any]:
        """The fields that were said; raises Refused with all problems."""
        if not isinstance(said, dict):
            raise bad(f"the body must be a JSON object, not {_short(said)}")
        known = {field.name: field for field in self.fields}
        found = [
            f"{_short(name)} is no field here; there are {', '.join(sorted(known))}"
            for name in said if name not in known and name not in self.ignored
        ]  # fmt: skip
        for field in self.fields:
            if field.name in said or not partial:
                found += field.problems(said.get(field.name))
        if found:
            raise bad(found)
        return {name: value for name, value in said.items() if name in known and value is not None}

    def schema(self, *, partial: bool = False) -> dict[str, Any]:
        """For OpenAPI."""
        needed = [field.name for field in self.fields if field.required and not partial]
        told: dict[str, Any] = {
            "type": "object", "properties": {field.name: field.schema() for field in self.fields},
        }  # fmt: skip
        return {**told, "required": needed} if needed else told


async def body_of(request: Request) -> Any:
    """The body's JSON; raises Refused."""
    taken = bytearray()
    async for chunk in request.stream():
        taken += chunk
        if len(taken) > MOST:
            raise Refused(413, f"the body has more than {MOST} bytes, which is the most that is read here")
    try:
        return msgspec.json.decode(bytes(taken)) if taken else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad(f"the body is no JSON: {error}") from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
