"""The changes that one cluster still remembers, for watches that come back.

Bounded three ways, because each bound alone can be defeated: by entries (many small changes), by bytes (few large ones) and
by age (a quiet cluster should not hold the last hour's churn). Whoever asks for something older lists again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from continuo.embedded.port import StoredChange
from continuo.resources.errors import Expired
from continuo.resources.meta import Object

_encode = msgspec.json.Encoder().encode
_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of the past is kept."""

    entries: int = 20_000
    size: int = 64 << 20
    seconds: float = 600.0


DEFAULT_BOUNDS: Final = Bounds()


class ChangeLog:
    """Changes in order of their versions; everything up to and including `floor` is forgotten."""

    def __init__(self, floor: int, clock: Callable[[], float], bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self.floor = floor
        self._clock = clock
        self._bounds = bounds
        self._entries: deque[tuple[StoredChange, int, float]] = deque()
        self._size = 0

    def append(self, change: StoredChange) -> None:
        """Remember one more change, forget what goes over the bounds."""
        size, now = _cost(change), self._clock()
        self._entries.append((change, size, now))
        self._size += size
        bounds, entries = self._bounds, self._entries
        while (
            len(entries) > bounds.entries or self._size > bounds.size or now - entries[0][2] > bounds.seconds
        ) and len(entries) > 1:
            oldest, freed, _ = entries.popleft()
            self._size -= freed
            self.floor = oldest.version

    def since(self, version: int) -> list[StoredChange]:
        """Everything after `version`; raises Expired when some of it is forgotten."""
        if version < self.floor:
            raise Expired(f"too old resource version: {version} ({self.floor})")
        found: list[StoredChange] = []
        for change, _, _ in reversed(self._entries):
            if change.version <= version:
                break
            found.append(change)
        found.reverse()
        return found


def _cost(change: StoredChange) -> int:
    """The bytes that this change keeps alive: what it does not share with the state before it, roughly."""
    old: Object = change.previous or {}
    if change.type == "DELETED":
        return 500
    size = 500
    for name, value in change.object.items():
        if name != "metadata" and value is not old.get(name) and not isinstance(value, _SCALARS):
            size += len(_encode(value))
    return size
