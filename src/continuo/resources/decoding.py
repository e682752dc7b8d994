"""Parts of objects as structs: what a kind's own code decides about."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from continuo.resources.errors import Invalid
from continuo.resources.meta import Object

S = TypeVar("S", bound=Struct)


def decode_at(obj: Object, path: str, to: type[S]) -> S:
    """What is at a dotted path of the object, as structs, defaults filled in; raises Invalid with a sentence."""
    found: Any = obj
    for part in path.split("."):
        found = (found or {}).get(part)
    try:
        return msgspec.convert(found or {}, to)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        named = f"{obj.get('kind')} {obj['metadata']['name']}: {path}{where.rstrip('`')}"
        raise Invalid(f"{named}: {what}") from None


def same(kind: type[S], one: Object, other: Object) -> bool:
    """Whether two say the same as such structs: an API server fills in defaults that a writer leaves out.

    What another version wrote and this one cannot read is not the same.
    """
    try:
        return one == other or bool(msgspec.convert(one, kind) == msgspec.convert(other, kind))
    except msgspec.ValidationError:
        return False
