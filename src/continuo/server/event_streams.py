"""Events to readers: server-sent ones that take up where a reader was, or a page as JSON.

A reader is a place in the log and nothing else, so a slow one holds nobody up. When the log has gone past it, it is told by
a last event of the type `dev.continuo.events.gap.v1`, and cut: what follows would not be the whole story.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from continuo.events.log import Entry, EventLog, gap
from continuo.events.selection import Selection
from continuo.server.event_feed import EventFeed
from continuo.server.problems import Problem

QUIET = 15.0
"""Seconds without an event after which a stream says that it lives, and its token is looked at again."""
MOST = 1024
"""Streams at a time."""
CHUNK = 256
"""Entries that are looked through before others have their turn."""

Still = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader is: after which number of this log. `broken` says why what follows may not be all."""

    number: int
    broken: str = ""


def cursor(log: EventLog, number: int) -> str:
    """A place in the log as text: what `Last-Event-ID` carries."""
    return f"{log.epoch:x}.{number}"


def place_of(log: EventLog, text: str) -> Place:
    """The place that a reader had; raises the problem where the text is none."""
    epoch, dot, number = text.partition(".")
    if not dot or not number.isascii() or not number.isdigit() or len(text) > 40:
        raise Problem(400, "query-invalid", f"Last-Event-ID: {text[:48]!r} is no id of an event of this stream")
    if epoch != f"{log.epoch:x}":
        return Place(0, "the server has another log since: all that is in it follows")
    if int(number) > log.newest:
        return Place(0, "the log has lost its newest events: all that is in it follows")
    return Place(int(number))


class Streams:
    """All streams of one server."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed, self._open = feed, 0

    def admit(self) -> None:
        """Raise the problem when there are as many streams as may be."""
        if self._open >= MOST:
            raise Problem(
                503, "too-many-streams", f"{MOST} streams are open, the most there may be: come back later",
                headers={"Retry-After": "5"},
            )  # fmt: skip

    async def events(self, place: Place, wanted: Selection, still: Still) -> AsyncIterator[bytes]:
        """The events from that place on, as server-sent ones; ends when `still` refuses its reader."""
        self._open += 1
        try:
            async for chunk in self._events(place, wanted, still):
                yield chunk
        finally:
            self._open -= 1

    async def _events(self, place: Place, wanted: Selection, still: Still) -> AsyncIterator[bytes]:
        log, loop = self._feed.log, asyncio.get_running_loop()
        number, checked = place.number, loop.time()
        yield b"retry: 2000\n\n"
        if place.broken:
            yield self._gap(log.oldest - 1, place.broken)
        while not self._feed.closed:
            if number + 1 < log.oldest and number:
                yield self._gap(log.oldest - 1, f"the reader fell behind: {log.oldest - 1 - number} events are gone")
                return
            entries = log.after(number, CHUNK)
            if entries:
                number = entries[-1].number
                if chunk := b"".join(_sse(log, entry) for entry in entries if wanted.takes(entry)):
                    yield chunk
            if loop.time() - checked >= QUIET:
                if not await _admitted(still):
                    return
                checked = loop.time()
                yield b"id: %b\n: it lives\n\n" % cursor(log, number).encode()
            if entries:
                await asyncio.sleep(0)
            else:
                await log.wait(number, QUIET)

    def _gap(self, number: int, why: str) -> bytes:
        log, now = self._feed.log, self._feed.clock()
        event = gap(f"{log.epoch:x}/{number}", f"/events/{self._feed.namespace}", now, message=why)
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (cursor(log, number).encode(), event.type.encode(), event.encode())


def page(log: EventLog, place: Place, wanted: Selection, limit: int) -> tuple[list[Entry], int, bool]:
    """Entries that are wanted, the number after which to go on, and whether there are more."""
    found: list[Entry] = []
    number = max(place.number, log.oldest - 1)
    while chunk := log.after(number, CHUNK):
        for entry in chunk:
            if wanted.takes(entry):
                if len(found) == limit:
                    return found, number, True
                found.append(entry)
            number = entry.number
    return found, number, False


async def _admitted(still: Still) -> bool:
    try:
        await still()
    except Problem:
        return False
    return True


def _sse(log: EventLog, entry: Entry) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (cursor(log, entry.number).encode(), entry.type.encode(), entry.body)
