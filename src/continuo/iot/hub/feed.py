"""The hub's events: a ring in memory over what the storage keeps, from which a reader resumes where it stood."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `data` is JSON."""

    number: int
    project: str
    kind: str
    data: bytes


class Gone(Exception):
    """What came after this number is no longer kept; `str()` says where to begin again."""


class Feed:
    """The last `keep` events, at most twice as many."""

    def __init__(self, keep: int = 20_000) -> None:
        self.keep = keep
        self._events: list[Event] = []
        self._numbers: list[int] = []
        self._news = asyncio.Event()
        self.last = 0
        """The number of the newest."""
        self.oldest = 0
        """A reader may resume from this number or a later one."""
        self.closed = False

    def load(self, events: list[Event], last: int) -> None:
        """Begin with what was kept."""
        self._events, self._numbers = events, [event.number for event in events]
        self.last = last
        self.oldest = self._numbers[0] - 1 if events else last

    def add(self, events: list[Event]) -> None:
        """Tell of changes that are on disk."""
        for event in events:
            self._events.append(event)
            self._numbers.append(event.number)
            self.last = max(self.last, event.number)
        if len(self._events) > 2 * self.keep:
            del self._events[: self.keep], self._numbers[: self.keep]
            self.oldest = self._numbers[0] - 1
        if events:
            self._wake()

    def close(self) -> None:
        """End all readers."""
        self.closed = True
        self._wake()

    def after(self, number: int, project: str | None) -> list[Event]:
        """The next events of a project (None: of all); raises Gone."""
        if not self.oldest <= number <= self.last:
            raise Gone(
                f"events after {number} are not kept, only those after {self.oldest} up to {self.last}:"
                " list everything and begin without a number"
            )
        start = bisect_right(self._numbers, number)
        return [event for event in self._events[start:] if project is None or event.project == project]

    async def follow(self, number: int, project: str | None, beat: float = 15.0) -> AsyncIterator[list[Event]]:
        """Events as they come; an empty list after `beat` seconds without any. Raises Gone to who is too slow."""
        while not self.closed:
            news = self._news
            reached, found = self.last, self.after(number, project)
            number = reached
            if found:
                yield found
                continue
            try:
                async with asyncio.timeout(beat):
                    await news.wait()
            except TimeoutError:
                yield []

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
