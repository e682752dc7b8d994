"""Who has connected and not said yet who it is: bounded for each address, and for all together.

A board needs a moment for that. Whoever opens connections and stays silent takes only its own share, and so shuts nobody out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

MOST, MOST_OF_ONE = 1024, 128
"""Of all addresses, and of one: many boards may be behind one address, and come back at the same time."""


class Strangers:
    """The connections of one entrance that have not said who they are."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._addresses: dict[Hashable, str] = {}
        self._counts: Counter[str] = Counter()

    def come(self, who: Hashable, peer: object) -> bool:
        """Somebody came from there (a socket's peer name); whether there is room for it."""
        address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        if len(self._addresses) >= self._most or self._counts[address] >= self._most_of_one:
            return False
        self._addresses[who] = address
        self._counts[address] += 1
        return True

    def gone(self, who: Hashable) -> None:
        """It has said who it is, or left; nothing where it was not counted."""
        address = self._addresses.pop(who, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    @property
    def count(self) -> int:
        """How many there are now."""
        return len(self._addresses)
