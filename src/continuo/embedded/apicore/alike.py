"""Specs that were created before, word for word: what became of the first is what becomes of all others.

The pods of a workload differ in their names, not in their specs. What a spec turns into (without unknown fields, with
defaults, found valid, with the status to start with, and who owns what) follows from its words and the names of the
object's labels and annotations, so it is worked out once and shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from continuo.embedded.machinery.fieldsets import FieldSet
from continuo.embedded.port import Write
from continuo.resources.meta import Object

KEPT = 64
"""Specs of one kind that are remembered; the oldest go first."""
LARGE = 1 << 14
"""Bytes from which on a spec is not remembered."""
Likeness: TypeAlias = tuple[str, bytes, tuple[tuple[str, ...], ...]]
"""How unknown fields are met, the words of a spec, and the names in its metadata."""
_PARTS = frozenset(("apiVersion", "kind", "metadata", "spec"))
_NAMED = ("labels", "annotations")
_NOBODYS = ("name", "namespace", "creationTimestamp")
"""Metadata that nobody owns, whatever it says."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Proven:
    """What became of a spec."""

    spec: Object
    """With its defaults, before anything that depends on more than its words."""
    status: Object | None
    owned: FieldSet
    """What the creator owns of the object."""


class Alike:
    """The specs of one kind that went all the way."""

    def __init__(self) -> None:
        self._known: dict[Likeness, Proven] = {}

    def __len__(self) -> int:
        return len(self._known)

    def likeness(self, obj: Object, write: Write) -> Likeness | None:
        """By what an object's spec is remembered; None: what becomes of it may depend on more."""
        if write.trusted or "spec" not in obj or not obj.keys() <= _PARTS:
            return None
        names = _names(obj.get("metadata") or {})
        if names is None:
            return None
        words = _encode(obj["spec"])  # as bytes, true is not 1
        return (write.field_validation, words, names) if len(words) < LARGE else None

    def find(self, likeness: Likeness | None) -> Proven | None:
        """What became of that spec before."""
        return self._known.get(likeness) if likeness is not None else None

    def keep(self, likeness: Likeness, proven: Proven) -> None:
        """Remember a spec that went all the way."""
        if len(self._known) >= KEPT:
            del self._known[next(iter(self._known))]
        self._known[likeness] = proven


def _names(metadata: Object) -> tuple[tuple[str, ...], ...] | None:
    """What decides who owns what in metadata; None where more than names does."""
    found = []
    for name, value in metadata.items():
        if name in _NAMED and isinstance(value, dict):
            found.append((name, *value))
        elif name not in _NOBODYS:
            return None
    return tuple(found)
