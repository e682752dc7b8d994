"""Dead letters: readings that a target did not take, kept for a while so that they can be looked at and sent once more."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from continuo.edge.relay.reading import Reading

PER_ROUTE, MOST_BYTES = 256, 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """A reading that was given up."""

    route: str
    url: str
    sensor: str
    reading: Reading
    reason: str
    attempts: int
    at: float
    """Seconds since 1970."""


class Letters:
    """The newest of each route, `PER_ROUTE` at most; all together of a bounded size. Who has most loses first."""

    def __init__(self, per_route: int = PER_ROUTE, most_bytes: int = MOST_BYTES) -> None:
        self._per_route, self._most_bytes = per_route, most_bytes
        self._routes: dict[str, deque[Letter]] = {}
        self._sizes: dict[str, int] = {}
        self.bytes = 0

    def add(self, letter: Letter) -> None:
        kept = self._routes.setdefault(letter.route, deque())
        kept.append(letter)
        letter.reading.hold()
        self._count(letter, len(letter.reading.body))
        if len(kept) > self._per_route:
            self._oldest(letter.route)
        while self.bytes > self._most_bytes:
            self._oldest(max(self._sizes, key=self._sizes.__getitem__))

    def of(self, route: str | None = None) -> list[Letter]:
        """All of a route, or of all routes, the oldest first."""
        if route is not None:
            return list(self._routes.get(route, ()))
        return sorted((each for kept in self._routes.values() for each in kept), key=lambda each: each.at)

    def take(self, route: str) -> list[Letter]:
        """Take out all of a route. Who takes them releases the readings."""
        taken = list(self._routes.pop(route, ()))
        self.bytes -= self._sizes.pop(route, 0)
        return taken

    def forget(self, route: str) -> None:
        """Throw away all of a route."""
        for letter in self.take(route):
            letter.reading.release()

    def _oldest(self, route: str) -> None:
        letter = self._routes[route].popleft()
        letter.reading.release()
        self._count(letter, -len(letter.reading.body))
        if not self._routes[route]:
            del self._routes[route], self._sizes[route]

    def _count(self, letter: Letter, size: int) -> None:
        self._sizes[letter.route] = self._sizes.get(letter.route, 0) + size
        self.bytes += size
