"""A memo keyed by the identity of a schema: schemas are large, immutable and used again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class IdentityMemo(Generic[T]):
    """Remembers `compile(schema)` per schema object, at most `size` of them (the oldest go first).

    The schema is kept with the result, so its identity cannot be given to another object meanwhile.
    """

    def __init__(self, compile: Callable[[Mapping[str, Any]], T], size: int = 65536) -> None:
        self._compile = compile
        self._size = size
        self._known: dict[int, tuple[Mapping[str, Any], T]] = {}

    def of(self, schema: Mapping[str, Any]) -> T:
        """The compiled schema."""
        found = self._known.get(id(schema))
        if found is not None:
            return found[1]
        compiled = self._compile(schema)
        while len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[id(schema)] = (schema, compiled)
        return compiled
