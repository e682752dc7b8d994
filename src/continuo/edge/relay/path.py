"""The way to one target: takes readings from its queue and posts them, with patience, and never more than it may.

While a target takes readings several go at once, one for each sensor at most. When it has failed several times in a row, one
reading at a time is tried, after growing pauses. Nothing here waits for anybody else's target.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from continuo.edge.relay.endpoints import Endpoint, shown
from continuo.edge.relay.figures import Figures
from continuo.edge.relay.headers import opening, signer
from continuo.edge.relay.lanes import Entry, Lanes
from continuo.edge.relay.model import Source, Target
from continuo.edge.relay.pace import Patience
from continuo.edge.relay.reading import Reading
from continuo.edge.relay.wire import Answer, Pool, TlsContext, Trouble

log = logging.getLogger(__name__)

AGAIN = frozenset({408, 425, 429})
"""Answers below 500 after which a reading is sent again."""
PARALLEL = 4
"""Readings under way to one target, each of another sensor."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time and chance come from."""

    mono: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one target may hold."""

    readings: int = 1000
    bytes: int = 8 * 1024 * 1024


GivenUp = Callable[[Entry, str], None]
"""Told of a reading that was given up, and why, while the entry still holds it."""


class Path:
    """One target of one route."""

    def __init__(
        self, target: Target, endpoint: Endpoint, context: TlsContext | None, *,
        patience: Patience, limits: Limits, clock: Clock, given_up: GivenUp, changed: Callable[[], None],
    ) -> None:  # fmt: skip
        self._patience, self._clock = patience, clock
        self._given_up, self._changed = given_up, changed
        self.lanes = Lanes(limits.readings, limits.bytes)
        self.figures = Figures()
        self._failures = 0
        self._active: set[asyncio.Task[None]] = set()
        self._timers: dict[Entry, asyncio.TimerHandle] = {}
        self._pause: asyncio.TimerHandle | None = None
        self._stopped = False
        self._pool = Pool(endpoint, context)
        self.reconfigure(target, endpoint, context)

    def reconfigure(self, target: Target, endpoint: Endpoint, context: TlsContext | None) -> None:
        """Deliver by this from now on; what waits stays."""
        self._pool.close()
        self.target, self.shown = target, shown(target.url)
        self._endpoint, self._sign = endpoint, signer(target.authentication)
        self._pool = Pool(endpoint, context, idle_most=PARALLEL)
        self._openings: dict[tuple[str, Source], bytes] = {}

    def add(self, reading: Reading, sensor: str, attempts: int = 0) -> None:
        """Queue a reading; the oldest goes where there is no room."""
        dropped = self.lanes.add(Entry(reading, sensor, attempts))
        self.figures.dropped += len(dropped)
        self._pump()

    def shed(self) -> bool:
        """Drop the oldest, because memory is short; whether there was one."""
        if self.lanes.drop_oldest() is None:
            return False
        self.figures.dropped += 1
        return True

    def retire_connections(self) -> None:
        """Connect anew for what comes next: identities have changed."""
        self._pool.retire()

    @property
    def stuck(self) -> bool:
        """Whether it waits before it tries its target again."""
        return self._pause is not None

    def pause(self) -> None:
        """Begin nothing new."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._pause is not None:
            self._pause.cancel()

    async def stop(self) -> list[Entry]:
        """End; returns what was not delivered, also what was under way, still holding its readings."""
        self.pause()
        tasks = list(self._active)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.close()
        return self.lanes.entries()

    async def discard(self) -> None:
        """End, and forget what was not delivered."""
        await self.stop()
        self.figures.dropped += len(self.lanes.clear())

    def _pump(self) -> None:
        if self._stopped or self._pause is not None:
            return
        most = 1 if self._failures >= self._patience.trouble else PARALLEL
        for _ in range(min(most - len(self._active), self.lanes.ready)):
            task = asyncio.get_running_loop().create_task(self._drain())
            self._active.add(task)
            task.add_done_callback(self._drained)

    def _drained(self, task: asyncio.Task[None]) -> None:
        self._active.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivering to %s failed unexpectedly", self.shown, exc_info=error)
            self._failures += 1
            self._rest(self._patience.pause(self._failures, None, self._clock.rng))
        self._pump()

    async def _drain(self) -> None:
        while not self._stopped and self._pause is None and (entry := self.lanes.take()) is not None:
            try:
                await self._deliver(entry)
            except BaseException:
                self.lanes.again(entry, first=True)
                raise
            if self._failures >= self._patience.trouble and len(self._active) > 1:
                return

    async def _deliver(self, entry: Entry) -> None:
        reading, patience = entry.reading, self._patience
        if self._clock.mono() - reading.came > patience.age:
            why = self.figures.trouble or "the queue was longer than the target is fast"
            self._give_up(entry, f"older than {patience.age:g} s: {why}")
            return
        try:
            answer = await self._pool.post(self._request(entry), patience.timeout)
        except Trouble as trouble:
            self._failed(entry, str(trouble), None)
            return
        except Exception:
            log.exception("delivering to %s failed unexpectedly", self.shown)
            self._failed(entry, "the relay itself failed; its log says why", None)
            return
        self._answered(entry, answer)

    def _request(self, entry: Entry) -> bytes:
        reading = entry.reading
        key = (entry.sensor, reading.source)
        start = self._openings.get(key)
        if start is None:
            start = self._openings[key] = opening(
                self._endpoint, self.target.authentication, reading.source, entry.sensor
            )
        proof = self._sign(reading, int(self._clock.wall())) if self._sign is not None else b""
        return b"%b%b%b\r\n%b" % (start, reading.common, proof, reading.body)

    def _answered(self, entry: Entry, answer: Answer) -> None:
        figures = self.figures
        if 200 <= answer.status < 300:
            reading = entry.reading
            figures.delivered += 1
            figures.bytes += len(reading.body)
            figures.last_delivered = self._clock.wall()
            figures.latencies.add((self._clock.mono() - reading.came) * 1000)
            figures.trouble = ""
            self.lanes.done(entry)
            self._changed()
            self._well()
        elif answer.status >= 500 or answer.status in AGAIN:
            self._failed(entry, f"it answered {answer.status}", answer.retry_after)
        else:
            moved = ", and redirects are not followed" if answer.status < 400 else ""
            figures.failed += 1
            figures.trouble = f"it answered {answer.status}{moved}"
            entry.attempts += 1
            self._give_up(entry, figures.trouble)
            self._well()

    def _well(self) -> None:
        """The target lives: several at once again."""
        if self._failures:
            self._failures = 0
            self._pump()

    def _failed(self, entry: Entry, why: str, asked: float | None) -> None:
        self.figures.failed += 1
        self.figures.trouble = why
        self._failures += 1
        entry.attempts += 1
        patience = self._patience
        pause = patience.pause(max(self._failures, entry.attempts), asked, self._clock.rng)
        if entry.attempts >= patience.attempts:
            self._give_up(entry, f"{why}, {entry.attempts} times")
            if self._failures >= patience.trouble:
                self._rest(pause)
            return
        self._changed()
        if self._failures >= patience.trouble or asked is not None:
            self.lanes.again(entry, first=True)
            self._rest(pause)
            return
        self._timers[entry] = asyncio.get_running_loop().call_later(pause, self._turn, entry)

    def _turn(self, entry: Entry) -> None:
        del self._timers[entry]
        self.lanes.again(entry)
        self._pump()

    def _rest(self, seconds: float) -> None:
        if self._pause is not None:
            self._pause.cancel()
        if not self._stopped:
            self._pause = asyncio.get_running_loop().call_later(seconds, self._rested)

    def _rested(self) -> None:
        self._pause = None
        self._pump()

    def _give_up(self, entry: Entry, why: str) -> None:
        self.figures.dead += 1
        if entry.live:
            self._given_up(entry, why)
            self.lanes.done(entry)
        self._changed()
