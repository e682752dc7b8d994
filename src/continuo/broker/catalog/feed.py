"""The change log in memory, and how it becomes frames. A subscriber is a revision and nothing more.

Whoever is behind asks what came after its revision; frames are made once for all subscribers that stand at the same place
with the same filter. Up to `STRICT` changes every single one is told; who is further behind gets the last version of each
offer only, and who is behind the log's beginning is told to list again. So what a slow
reader costs is bounded: what its connection holds already, and no changes of its own.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from continuo.broker.catalog.entries import Change
from continuo.broker.catalog.where import Filter, compile_where

STRICT = 2_000
_PER_FRAME = 500
_FRAMES = 512


@dataclass(frozen=True, slots=True)
class Delta:
    """Encoded changes, and the revision that their reader is at afterwards; no changes: only that it is that far."""

    revision: int
    items: tuple[bytes, ...]
    coalesced: bool = False


class Gone(Exception):
    """The changes after this revision are no longer kept: the reader has to list again."""


class Feed:
    """The last changes, in order, with a tick whenever there are new ones."""

    def __init__(self, keep: int = 20_000, interval: float = 0.1) -> None:
        self._keep, self._interval = keep, interval
        self._changes: list[Change] = []
        self._revisions: list[int] = []
        self._frames: OrderedDict[tuple[str, str, int, int], tuple[int, bytes]] = OrderedDict()
        self._ticked = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")
        self.revision = 0
        self.oldest = 0
        """Reading can resume from this revision or a later one."""
        self.ticks = 0
        """How often readers were woken."""
        self.closed = False

    def load(self, revision: int, changes: list[Change]) -> None:
        """Begin with what the storage kept."""
        self._changes, self._revisions = changes, [change.revision for change in changes]
        self.revision = revision
        self.oldest = changes[0].revision - 1 if changes else revision

    def add(self, change: Change) -> None:
        """One more change; readers hear of it at the next tick."""
        self._changes.append(change)
        self._revisions.append(change.revision)
        self.revision = change.revision
        if len(self._changes) > 2 * self._keep:
            del self._changes[: self._keep], self._revisions[: self._keep]
            self.oldest = self._revisions[0] - 1
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._last + self._interval), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._last = asyncio.get_running_loop().time()
        self.ticks += 1
        ticked, self._ticked = self._ticked, asyncio.Event()
        ticked.set()

    def beat(self) -> None:
        """Wake everybody although nothing changed: streams look at their tokens, and tell that they live."""
        if self._timer is None:
            self._tick()

    def close(self) -> None:
        """Wake everybody for the last time."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._ticked.set()

    async def next_tick(self) -> None:
        """Wait for the next time that changes are told."""
        await self._ticked.wait()

    def after(self, revision: int, where: str = "") -> Delta:
        """The next changes for a reader at this revision; raises Gone."""
        if revision < self.oldest or revision > self.revision:
            raise Gone(
                f"changes after revision {revision} are not kept, only {self.oldest} to {self.revision}; list again"
            )
        start = bisect_right(self._revisions, revision)
        behind = len(self._changes) - start
        coalesced = behind > STRICT
        changes = self._latest(start) if coalesced else self._changes[start : start + _PER_FRAME]
        matches = _matcher(where)
        items = tuple(item for change in changes if (item := matches(change)) is not None)
        last = self.revision if coalesced or not changes else changes[-1].revision
        return Delta(last, items, coalesced)

    def frame(self, kind: str, revision: int, where: str, make: Callable[[Delta], bytes]) -> tuple[int, bytes]:
        """`after` as one encoded frame, made once for all who stand at this place; empty when nothing matched."""
        key = (kind, where, revision, self.revision)
        found = self._frames.get(key)
        if found is None:
            delta = self.after(revision, where)
            found = delta.revision, make(delta) if delta.items else b""
            self._frames[key] = found
            if len(self._frames) > _FRAMES:
                self._frames.popitem(last=False)
        return found

    def _latest(self, start: int) -> list[Change]:
        """The last version of each offer, with what was there before the first change of these."""
        first: dict[str, Change] = {}
        last: dict[str, Change] = {}
        for change in self._changes[start:]:
            first.setdefault(change.id, change)
            last[change.id] = change
        pairs = [(first[id], change) for id, change in last.items()]
        merged = [Change(c.revision, c.id, c.provider, f.before, c.after, f.forgotten) for f, c in pairs]
        return sorted(merged, key=lambda change: change.revision)


def _matcher(where: str) -> Callable[[Change], bytes | None]:
    if not where:
        return lambda change: change.encoded(gone=change.after is None)
    keep: Filter = compile_where(where)

    def match(change: Change) -> bytes | None:
        if change.after is not None and keep((change.after.rows,)):
            return change.encoded(gone=False)
        if change.forgotten or (change.before is not None and keep((change.before.rows,))):
            return change.encoded(gone=True)
        return None

    return match
