"""Telling a change to a thousand sockets at once: one pass over all who are up to date, instead of a task for each.

A rider is a revision, a filter and a connection that can take frames as they are. Whoever cannot be told in a pass, because
its connection is full, its token has ended or it has fallen behind, gets off, and its own task goes on from its revision.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from continuo.broker.catalog.feed import Feed, Gone
from continuo.broker.catalog.turns import Turns
from continuo.server.sockets import FanOut, Sink, framed

log = logging.getLogger(__name__)

QUIET = 25.0
"""After so many seconds without a change a stream is told that it lives."""
_AT_ONCE = 64


@dataclass(slots=True, eq=False)
class Rider:
    """One connection that is up to date."""

    connection: FanOut
    since: int
    where: str
    alive: Callable[[], bool]
    off: asyncio.Future[None]
    told: float


class Fan:
    """All riders of one feed. Not more than one pass runs, and ticks during a pass are one."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._riders: dict[Rider, None] = {}

    async def ride(self, sink: Sink, since: int, where: str, alive: Callable[[], bool]) -> int:
        """Be told of changes, until the connection needs its own task again; returns the revision that it is at."""
        loop = asyncio.get_running_loop()
        assert sink.direct is not None
        rider = Rider(sink.direct, since, where, alive, loop.create_future(), loop.time())
        self._riders[rider] = None
        try:
            await rider.off
        finally:
            self._riders.pop(rider, None)
        return rider.since

    async def run(self) -> None:
        """Tell changes until the feed is closed."""
        feed, seen = self._feed, 0
        while not feed.closed:
            if seen == feed.ticks:
                await feed.next_tick()
            seen = feed.ticks
            await self._pass()
        for rider in self._riders:
            _get_off(rider)

    async def _pass(self) -> None:
        turns, riders = Turns(), list(self._riders)
        for start in range(0, len(riders), _AT_ONCE):
            now = asyncio.get_running_loop().time()
            for rider in riders[start : start + _AT_ONCE]:
                if not rider.off.done() and not self._told(rider, now):
                    _get_off(rider)
            await turns.give()

    def _told(self, rider: Rider, now: float) -> bool:
        try:
            return self._tell(rider, now)
        except Exception:
            log.exception("a subscriber could not be told; its own task goes on with it")
            return False

    def _tell(self, rider: Rider, now: float) -> bool:
        """Whether the rider is up to date afterwards."""
        feed, connection = self._feed, rider.connection
        if not rider.alive() or not connection.takes_frames():
            return False
        try:
            reached, frame = feed.frame("frame", rider.since, rider.where, Sink.framed_delta)
        except Gone:
            return False
        if not frame and now - rider.told > QUIET:
            frame = framed(b'{"op":"bookmark","revision":%d}' % reached)
        if frame:
            connection.transport.write(frame)
            rider.told = now
        rider.since = reached
        return reached == feed.revision


def _get_off(rider: Rider) -> None:
    if not rider.off.done():
        rider.off.set_result(None)
