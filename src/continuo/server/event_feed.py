"""The events of a namespace's orchestrations, followed by the server itself: outboxes in, one log for all readers.

The server needs no operator beside it and no broker: what it follows anyway brings the outboxes. What it missed while it
was away is in them still, or the log says that something is missing.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from continuo.events.ledger import stamp
from continuo.events.log import EventLog
from continuo.events.outbox import cut_short
from continuo.events.publisher import Publisher
from continuo.resources.meta import Object
from continuo.runtime.informer import Informer

Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """The wall clock."""
    return datetime.datetime.now(datetime.UTC)


class EventFeed:
    """A log, and what fills it."""

    def __init__(self, informer: Informer, namespace: str, log: EventLog | None = None, clock: Clock = utc_now) -> None:
        self.log, self.namespace, self.clock = log or EventLog(clock=clock), namespace, clock
        self.closed = False
        self.publisher = Publisher([self.log])
        informer.on_change(self._changed)

    async def start(self) -> None:
        """Fill the log from now on. Raises StorageFailed where its database cannot be used."""
        await self.log.open()
        self.publisher.start()

    async def stop(self) -> None:
        """End; readers are let go."""
        self.closed = True
        self.log.wake()
        await self.publisher.stop()
        await self.log.close()

    def trouble(self) -> str:
        """Why events are not kept now; empty while they are."""
        return "; ".join(self.publisher.trouble().values())

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.publisher.take(new)
        elif old is not None:
            last = cut_short(old, stamp(self.clock()))
            self.publisher.take(last)
            self.publisher.gone(last)
