"""From outboxes to sinks: every event to every sink, at least once and in order, however long a sink is away.

What is not taken yet stands in the outboxes, which are bounded and outlive the process; so nothing is queued here. After a
restart all that is in the outboxes is published again, with the same ids.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from continuo.events import outbox
from continuo.events.cloudevent import Event
from continuo.events.sink import Sink, SinkUnavailable
from continuo.resources.meta import Object, deleting

log = logging.getLogger(__name__)

BATCH = 256
FIRST, LONGEST = 0.2, 30.0
"""Seconds until a sink that was not available is tried again: at first, and at most."""
LOOK_AGAIN = 30.0
PATIENCE = 3600.0
"""Seconds for which an orchestration that is being deleted waits for a sink that is away."""

Confirmed = Callable[[Object, bool], None]
"""Told when everybody has all events of an orchestration; True where a write that removes them is worth it."""


@dataclass(slots=True)
class _Way:
    """One sink, and what it has."""

    sink: Sink
    has: dict[str, set[str]] = field(default_factory=dict)
    """By orchestration UID, the ids of those events in its outbox that the sink has."""
    dirty: dict[str, None] = field(default_factory=dict)
    """The orchestrations that may have events which it has not, in the order in which they spoke."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: str = ""
    published: int = 0


class Publisher:
    """Follows the outboxes that it is shown, and hands their events on."""

    def __init__(
        self,
        sinks: Sequence[Sink] = (),
        *,
        on_confirmed: Confirmed = lambda _obj, _worth: None,
        rng: random.Random | None = None,
    ) -> None:
        self.on_confirmed = on_confirmed
        self._random = rng or random.Random()
        self._ways = [_Way(sink) for sink in sinks]
        self._known: dict[str, Object] = {}
        """The newest state of each orchestration with events, by UID."""
        self._going: set[str] = set()
        """Those that are gone, and whose last events somebody has not yet."""
        self._waiting: dict[str, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._settled = asyncio.Event()
        self._settled.set()

    # --- what there is to tell --------------------------------------------------------------------------------------

    def take(self, obj: Object) -> None:
        """Look at an orchestration's outbox: right after it was written, or when a watch shows it."""
        entries = (obj.get("status") or {}).get("outbox")
        uid = obj["metadata"].get("uid")
        if not entries or not uid:
            return
        self._known[uid] = obj
        ids = {entry["id"] for entry in entries}
        for way in self._ways:
            has = way.has.setdefault(uid, set())
            has &= ids
            if len(has) < len(ids):
                way.dirty[uid] = None
                way.wake.set()
                self._settled.clear()

    def gone(self, obj: Object) -> None:
        """The orchestration is no more; its last events are still told."""
        uid = obj["metadata"].get("uid")
        if uid in self._known:
            self._going.add(uid)
            self._bury(uid)

    def confirmed(self, uid: str) -> Collection[str]:
        """The ids of those events in an outbox that every sink has."""
        obj = self._known.get(uid)
        if obj is None:
            return ()
        ids = {entry["id"] for entry in obj["status"]["outbox"]}
        return ids.intersection(*(way.has.get(uid, ()) for way in self._ways))

    def pending(self, obj: Object) -> float | None:
        """Seconds after which to look again whether everybody has the last events of one that is to go; None: it may go."""
        uid = str(obj["metadata"].get("uid"))
        left = len((obj.get("status") or {}).get("outbox") or ()) - len(self.confirmed(uid))
        if not left:
            self._waiting.pop(uid, None)
            return None
        now = asyncio.get_running_loop().time()
        since = self._waiting.setdefault(uid, now)
        if now - since < PATIENCE:
            return LOOK_AGAIN
        log.error("%s goes with %d events that %s never took", outbox.source_of(obj), left, self._lacking(uid))
        return None

    def _lacking(self, uid: str) -> str:
        return " and ".join(way.sink.name for way in self._ways if uid in way.dirty) or "a sink"

    # --- how it fares -----------------------------------------------------------------------------------------------

    def trouble(self) -> dict[str, str]:
        """Sink -> why it does not take events now, of those that do not."""
        return {way.sink.name: way.trouble for way in self._ways if way.trouble}

    def published(self) -> dict[str, int]:
        """Sink -> events that it took from this process; one that is told twice counts twice."""
        return {way.sink.name: way.published for way in self._ways}

    def backlog(self) -> dict[str, int]:
        """Sink -> events that wait for it."""
        return {way.sink.name: sum(1 for _ in self._lacks(way)) for way in self._ways}

    async def settled(self) -> None:
        """Return when every sink has all events that were shown."""
        await self._settled.wait()

    # --- telling ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Publish in tasks of the running loop, one for each sink."""
        self._tasks = [asyncio.create_task(self._serve(way), name=f"events to {way.sink.name}") for way in self._ways]

    async def stop(self) -> None:
        """Publish no more; what is not told yet is told by the next process."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, way: _Way) -> None:
        failures = 0
        while True:
            await way.wake.wait()
            way.wake.clear()
            while batch := self._batch(way):
                try:
                    await way.sink.publish([event for _, event in batch])
                except SinkUnavailable as error:
                    failures += 1
                    self._unavailable(way, str(error))
                except Exception as error:
                    log.exception("sink %s failed", way.sink.name)
                    failures += 1
                    self._unavailable(way, f"{type(error).__name__}: {error}")
                else:
                    failures = 0
                    self._took(way, batch)
                    continue
                await asyncio.sleep(self._pause(failures))

    def _pause(self, failures: int) -> float:
        longest: float = min(LONGEST, FIRST * 2.0 ** min(failures - 1, 12))
        return longest * (1.0 + 0.2 * self._random.random())

    @staticmethod
    def _unavailable(way: _Way, why: str) -> None:
        if not way.trouble:
            log.warning("sink %s does not take events: %s", way.sink.name, why)
        way.trouble = why

    def _lacks(self, way: _Way) -> Iterator[tuple[str, Event]]:
        for uid in list(way.dirty):
            obj = self._known.get(uid)
            has = way.has.setdefault(uid, set())
            for event in outbox.events_of(obj) if obj is not None else ():
                if event.id not in has:
                    yield uid, event

    def _batch(self, way: _Way) -> list[tuple[str, Event]]:
        found: list[tuple[str, Event]] = []
        for entry in self._lacks(way):
            found.append(entry)
            if len(found) == BATCH:
                break
        return found

    def _took(self, way: _Way, batch: Sequence[tuple[str, Event]]) -> None:
        if way.trouble:
            log.info("sink %s takes events again", way.sink.name)
            way.trouble = ""
        way.published += len(batch)
        for uid, event in batch:
            way.has[uid].add(event.id)
        for uid in dict.fromkeys(uid for uid, _ in batch):
            self._complete(way, uid)

    def _complete(self, way: _Way, uid: str) -> None:
        """Whether the sink has everything of this orchestration, and then perhaps everybody."""
        obj = self._known[uid]
        ids = {entry["id"] for entry in obj["status"]["outbox"]}
        if not ids <= way.has[uid]:
            return
        way.dirty.pop(uid, None)
        if not any(other.dirty for other in self._ways):
            self._settled.set()
        if any(uid in other.dirty for other in self._ways):
            return
        if uid in self._going:
            self._bury(uid)
        else:
            worth = len(ids) - outbox.KEPT > outbox.FULL
            if worth or deleting(obj):
                self.on_confirmed(obj, worth)

    def _bury(self, uid: str) -> None:
        if any(uid in way.dirty for way in self._ways):
            return
        self._known.pop(uid, None)
        self._going.discard(uid)
        self._waiting.pop(uid, None)
        for way in self._ways:
            way.has.pop(uid, None)
