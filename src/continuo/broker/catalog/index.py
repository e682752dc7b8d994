"""What the catalog holds now, in memory: every offer by id, the ids in order, and each provider's own."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator

from continuo.broker.catalog.entries import Entry


class Index:
    """Follows the change log; whoever reads sees one revision."""

    def __init__(self) -> None:
        self.revision = 0
        self.listeners: list[Callable[[Entry | None, Entry | None], None]] = []
        """Called with every offer's version before and after a change."""
        self._entries: dict[str, Entry] = {}
        self._ids: list[str] = []
        self._by_provider: dict[str, dict[str, Entry]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, id: str) -> Entry | None:
        """The current version of an offer."""
        return self._entries.get(id)

    def put(self, entry: Entry) -> Entry | None:
        """Take over a version; returns the one before."""
        offer = entry.offer
        before = self._entries.get(offer.id)
        if before is None:
            insort(self._ids, offer.id)
        self._entries[offer.id] = entry
        self._by_provider.setdefault(offer.provider, {})[offer.id] = entry
        self._tell(before, entry)
        return before

    def remove(self, id: str) -> Entry | None:
        """Forget an offer; returns what it was."""
        before = self._entries.pop(id, None)
        if before is not None:
            del self._ids[bisect_left(self._ids, id)]
            mine = self._by_provider[before.offer.provider]
            del mine[id]
            if not mine:
                del self._by_provider[before.offer.provider]
            self._tell(before, None)
        return before

    def _tell(self, before: Entry | None, after: Entry | None) -> None:
        for listener in self.listeners:
            listener(before, after)

    def of_provider(self, provider: str, after: str = "") -> list[Entry]:
        """A provider's offers with ids above this one, by id."""
        return [entry for id, entry in sorted(self._by_provider.get(provider, {}).items()) if id > after]

    def providers(self) -> Iterator[tuple[str, list[Entry]]]:
        """Every provider that offers something, by id."""
        for provider in sorted(self._by_provider):
            yield provider, self.of_provider(provider)

    def after(self, id: str) -> list[Entry]:
        """The offers with ids above this one, in order."""
        return list(map(self._entries.__getitem__, self._ids[bisect_right(self._ids, id) :]))

    def values(self) -> list[Entry]:
        """Every offer, in any order: for filters that look at all of them."""
        return list(self._entries.values())
