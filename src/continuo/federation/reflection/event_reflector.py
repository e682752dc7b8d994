"""Events about copies, brought home. They are hints: few at a time, after the pods, and the oldest are dropped in a storm."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from continuo.federation.reflection import events
from continuo.federation.reflection.hub import Share
from continuo.federation.reflection.pair import Pair
from continuo.federation.reflection.pod_reflector import PodReflector
from continuo.federation.reflection.twin import MANAGER
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, ApiError
from continuo.resources.meta import Object, key_of

log = logging.getLogger(__name__)

RATE, BURST = 20.0, 100.0
"""Events per second, and how many may come at once, for each node."""
LATEST = 10.0
"""Seconds after which one is told even while pods are being written about."""
KEPT = 500
"""Events that wait; the oldest go first."""
OLD = 60.0
"""Seconds before our start from which on events are told: earlier ones were told by whoever ran then."""


class EventReflector:
    """Tells home what the remote cluster says about its pods."""

    def __init__(self, pair: Pair, pods: PodReflector, *, clock: Callable[[], float] = time.time) -> None:
        self._pair, self._pods, self._clock = pair, pods, clock
        self._home = pair.home.cluster
        self._since = clock() - OLD
        self._shares: dict[str, Share] = {}
        self._waiting: deque[tuple[float, Object]] = deque(maxlen=KEPT)
        """With the loop's time at which each came."""
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._allowance, self._filled = BURST, 0.0

    def open(self, namespace: str) -> None:
        """Take a namespace up."""
        if namespace not in self._shares:
            share = self._shares[namespace] = self._pair.remote.events(self._pair.twin.space_there(namespace))
            share.follow(self._heard)

    async def shut(self, namespace: str) -> None:
        """Let a namespace go."""
        share = self._shares.pop(namespace, None)
        if share is not None:
            await share.close()

    def start(self) -> None:
        """Tell, until closed."""
        self._task = asyncio.create_task(self._work(), name=f"events of {self._pair.twin.node}")

    async def close(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(self.shut(namespace) for namespace in list(self._shares)))

    def _heard(self, old: Object | None, new: Object | None) -> None:
        if new is None or (old is not None and events.repeated(old) == events.repeated(new)):
            return
        if events.moment(new) >= self._since:
            self._waiting.append((asyncio.get_running_loop().time(), new))
            self._came.set()

    async def _work(self) -> None:
        while True:
            if not self._waiting:
                self._came.clear()
                await self._came.wait()
            await self._turn()
            await self._slot()
            try:
                await self._tell(self._waiting.popleft()[1])
            except ApiError as error:
                log.debug("cluster %s was not told an event: %s", self._home.name, error)

    async def _turn(self) -> None:
        """Wait until nothing is written that somebody waits for, or the oldest event has waited long enough."""
        loop, calm = asyncio.get_running_loop(), self._pair.relays.calm
        while (left := min(calm.in_seconds(loop.time()), self._due() - loop.time())) > 0:  # noqa: ASYNC110 - only time
            await asyncio.sleep(left)

    def _due(self) -> float:
        return self._waiting[0][0] + LATEST

    async def _slot(self) -> None:
        """Wait until another one may be told."""
        now = asyncio.get_running_loop().time()
        self._allowance = min(BURST, self._allowance + (now - self._filled) * RATE)
        self._filled = now
        if self._allowance < 1.0:
            await asyncio.sleep((1.0 - self._allowance) / RATE)
            return await self._slot()
        self._allowance -= 1.0

    async def _tell(self, event: Object) -> None:
        about = event.get("involvedObject") or {}
        copy = self._pods.copies.get((about.get("namespace") or "", about.get("name") or ""))
        twin = self._pair.twin
        pod = self._pods.pods.get(twin.key_here(copy)) if copy is not None else None
        wanted = events.told(twin, event, pod, copy)
        if wanted is None:
            return
        namespace, name = key_of(wanted)
        try:
            await self._home.create(wanted, manager=MANAGER)
        except AlreadyExists:
            await self._home.patch(kinds.CORE_EVENT, name, events.repeated(wanted), namespace, manager=MANAGER)
