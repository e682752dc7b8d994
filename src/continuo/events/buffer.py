"""What is to be told, kept in order until a sink has taken it: whoever tells never waits, and there is a limit.

For what stands nowhere else. Events of tasks stand in outboxes, and need none of this.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from itertools import islice

from continuo.events.cloudevent import Event
from continuo.events.sink import Sink, SinkUnavailable
from continuo.events.types import Outcome, parts_of
from continuo.trust.backoff import Backoff

log = logging.getLogger(__name__)

MOST, BATCH = 10_000, 256


class Buffer:
    """A bounded row of events before one sink."""

    def __init__(
        self,
        sink: Sink,
        *,
        most: int = MOST,
        rng: random.Random | None = None,
    ) -> None:
        self._sink, self._most, self._random = sink, most, rng or random.Random()
        self.on_change: Callable[[], None] = lambda: None
        """Called when the sink takes no more events (`trouble` says why), and when it does again."""
        self._row: deque[tuple[Event, asyncio.Future[None]]] = deque()
        self._wake, self._freed = asyncio.Event(), asyncio.Event()
        self.trouble = ""
        """Why the sink takes nothing at the moment, as a sentence."""

    def __len__(self) -> int:
        return len(self._row)

    def offer(self, event: Event) -> asyncio.Future[None] | None:
        """Take it, if there is room: what is done when the sink has it, or cancelled if it gave way. None: no room."""
        if len(self._row) >= self._most and not self._make_room():
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._row.append((event, future))
        self._wake.set()
        return future

    async def keep(self, event: Event) -> None:
        """Return when the sink has it, after waiting for room if need be. Not for progress, which may give way."""
        while (told := self.offer(event)) is None:
            self._freed.clear()
            await self._freed.wait()
        await told

    async def run(self) -> None:
        """Hand on until cancelled."""
        backoff = Backoff(0.1, 5.0, self._random)
        while True:
            while not self._row:
                self._wake.clear()
                await self._wake.wait()
            batch = list(islice(self._row, BATCH))
            try:
                await self._sink.publish([event for event, _ in batch])
            except SinkUnavailable as error:
                told, self.trouble = self.trouble, str(error)
                if not told:
                    self.on_change()
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self._taken(batch)

    def _taken(self, batch: list[tuple[Event, asyncio.Future[None]]]) -> None:
        had = {id(future) for _, future in batch}
        while self._row and id(self._row[0][1]) in had:  # some may have given way meanwhile
            _, future = self._row.popleft()
            if not future.done():
                future.set_result(None)
        self._freed.set()
        if self.trouble:
            self.trouble = ""
            self.on_change()

    def _make_room(self) -> bool:
        """The oldest progress gives way; nothing else does."""
        for index, (event, future) in enumerate(self._row):
            operation = parts_of(event.type)
            if operation is not None and operation[1] == Outcome.PROGRESS:
                del self._row[index]
                future.cancel()
                return True
        return False
