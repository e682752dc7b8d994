"""How far each partition is handled without a gap, where messages are done in any order. Pure but for its signal."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Hashable, Mapping


class _Partition:
    """The open offsets of one partition, and how far it is done."""

    def __init__(self) -> None:
        self.open: list[int] = []
        """A heap of offsets that were begun; those in `ended` are struck out when they come to its top."""
        self.ended: set[int] = set()
        self.highest = self.told = -1

    def reached(self) -> int:
        """The first offset that is not done."""
        while self.open and self.open[0] in self.ended:
            self.ended.discard(heapq.heappop(self.open))
        return self.open[0] if self.open else self.highest + 1


class Offsets:
    """What was begun and what is done, by partition."""

    def __init__(self) -> None:
        self._partitions: dict[Hashable, _Partition] = {}
        self.changed = asyncio.Event()
        """Set when something was done that nobody has taken."""

    def began(self, partition: Hashable, offset: int) -> None:
        """A message is being handled."""
        known = self._partitions.get(partition)
        if known is None:
            known = self._partitions[partition] = _Partition()
            known.told = offset  # where it was begun is where the group is already
        heapq.heappush(known.open, offset)
        known.highest = max(known.highest, offset)

    def done(self, partition: Hashable, offset: int) -> None:
        """It is handled; of a partition that was forgotten meanwhile nobody wants to know."""
        known = self._partitions.get(partition)
        if known is not None:
            known.ended.add(offset)
            self.changed.set()

    def take(self) -> dict[Hashable, int]:
        """By partition the offset to go on from, where it has grown since the last time."""
        self.changed.clear()
        found: dict[Hashable, int] = {}
        for partition, known in self._partitions.items():
            reached = known.reached()
            if reached > known.told:
                known.told = reached
                found[partition] = reached
        return found

    def put_back(self, taken: Mapping[Hashable, int]) -> None:
        """What was taken could not be told: it is to be taken again."""
        for partition, offset in taken.items():
            known = self._partitions.get(partition)
            if known is not None:
                known.told = min(known.told, offset - 1)
                self.changed.set()

    def forget(self, partition: Hashable) -> None:
        """Somebody else has it now."""
        self._partitions.pop(partition, None)
