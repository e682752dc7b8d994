"""Kubernetes Events about objects: what a user sees under `kubectl describe`.

Recording never waits and never fails: events go to a bounded buffer that one task empties. The same (object, reason, note)
within ten minutes is one event with a count.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from continuo.kube.port import Cluster
from continuo.resources.errors import ApiError, NotFound
from continuo.resources.kinds import EVENT
from continuo.resources.meta import Object
from continuo.runtime.leases import micro_time

log = logging.getLogger(__name__)

_Identity = tuple[str, str, str]
NOTE_LIMIT = 1024
"""Longer notes are refused by the API server."""


@dataclass(slots=True)
class _Known:
    """An event of the last minutes: where it is, and how often it happened."""

    obj: Object
    count: int
    last: float
    written: int = 0
    dirty: bool = False


class EventRecorder:
    """Writes events to one cluster, in the background."""

    WINDOW = 600.0
    REMEMBERED = 4096
    """Beyond this many different events the oldest are forgotten (and would be created anew), and unwritten ones lost."""

    def __init__(
        self,
        cluster: Cluster,
        controller: str,
        instance: str,
        *,
        per_second: float = 10.0,
        burst: int = 50,
        rng: random.Random | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.dropped = 0
        self.written = 0
        self._cluster, self._controller, self._instance = cluster, controller, instance
        self._per_second, self._burst, self._tokens = per_second, float(burst), float(burst)
        self._random, self._now = rng or random.Random(), now
        self._refilled: float | None = None
        self._known: OrderedDict[_Identity, _Known] = OrderedDict()
        self._pending: OrderedDict[_Identity, None] = OrderedDict()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def record(
        self,
        obj: Object,
        type: Literal["Normal", "Warning"],
        reason: str,
        note: str,
        *,
        action: str = "Reconcile",
    ) -> None:
        """Note that something happened to an object. `reason` is CamelCase, `note` a sentence."""
        metadata = obj["metadata"]
        identity = (str(metadata.get("uid") or f"{obj.get('kind')}/{metadata['name']}"), reason, note)
        now = self._now()
        known = self._known.get(identity)
        if known is None or now - known.last > self.WINDOW:
            known = _Known(self._event(obj, type, reason, note, action, now), 0, now)
            self._known.pop(identity, None)
            self._known[identity] = known
            self._trim()
        known.count += 1
        known.last = now
        self._pending[identity] = None
        self._more.set()

    def start(self) -> None:
        """Write in a task of the running loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="events")

    async def stop(self, grace: float = 2.0) -> None:
        """Write what waits, within `grace` seconds, and stop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        try:
            async with asyncio.timeout(grace):
                while self._pending:
                    await self._write(self._pending.popitem(last=False)[0])
        except TimeoutError:
            self.dropped += len(self._pending)

    async def _run(self) -> None:
        while True:
            if not self._pending:
                self._more.clear()
                await self._more.wait()
            await self._token()
            if self._pending:
                await self._write(self._pending.popitem(last=False)[0])

    async def _token(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        since = now - self._refilled if self._refilled is not None else 0.0
        self._tokens = min(self._burst, self._tokens + since * self._per_second)
        self._refilled = now
        if self._tokens < 1.0:
            await asyncio.sleep((1.0 - self._tokens) / self._per_second)
            self._tokens, self._refilled = 1.0, loop.time()
        self._tokens -= 1.0

    async def _write(self, identity: _Identity) -> None:
        known = self._known.get(identity)
        if known is None or known.written == known.count:
            return
        count = known.count
        try:
            await self._send(known, count)
        except Exception as error:
            self.dropped += 1
            log.warning(
                "an event could not be written (%s): %s", identity[1], error, exc_info=not isinstance(error, ApiError)
            )
            return
        known.written = count
        self.written += 1

    async def _send(self, known: _Known, count: int) -> None:
        series = {"count": count, "lastObservedTime": micro_time(known.last)}
        metadata = known.obj["metadata"]
        if known.written:
            try:
                await self._cluster.patch(EVENT, metadata["name"], {"series": series}, metadata["namespace"])
                return
            except NotFound:
                pass  # the API server forgets events after an hour or so
        # A series counts from two on; the first is the event itself.
        await self._cluster.create({**known.obj, "series": series} if count > 1 else known.obj)

    def _event(self, obj: Object, type: str, reason: str, note: str, action: str, now: float) -> Object:
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or "default"
        regarding = {
            "apiVersion": obj.get("apiVersion"),
            "kind": obj.get("kind"),
            "name": metadata["name"],
            "namespace": metadata.get("namespace"),
            "uid": metadata.get("uid"),
            "resourceVersion": metadata.get("resourceVersion"),
        }
        suffix = f"{int(now * 1e6):x}{self._random.getrandbits(24):06x}"
        return EVENT.new(
            f"{metadata['name'][:200]}.{suffix}",
            namespace,
            type=type,
            reason=reason,
            action=action,
            note=note if len(note) <= NOTE_LIMIT else note[: NOTE_LIMIT - 3] + "...",
            eventTime=micro_time(now),
            regarding={key: value for key, value in regarding.items() if value},
            reportingController=self._controller,
            reportingInstance=self._instance,
        )

    def _trim(self) -> None:
        while len(self._known) > self.REMEMBERED:
            identity, _ = self._known.popitem(last=False)
            if identity in self._pending:
                del self._pending[identity]
                self.dropped += 1
