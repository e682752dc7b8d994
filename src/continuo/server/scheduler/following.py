"""The state, kept from watches of the management cluster alone: nothing is listed for a request."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from datetime import datetime

from continuo.kube.port import Cluster
from continuo.resources.errors import Invalid
from continuo.resources.loop import ADJUSTMENT, DECISION, decode_adjustment
from continuo.resources.meta import Object, key_of
from continuo.resources.orchestration import decode
from continuo.runtime.informer import Informer, Watch, without_managed_fields
from continuo.server.problems import Problem
from continuo.server.scheduler.items import CLUSTERS, Items, datacenters_of, items_of
from continuo.server.scheduler.log import StateLog
from continuo.trust.holder import utc_now

log = logging.getLogger(__name__)

PAUSE = 0.02
"""Seconds in which changes are gathered into one version."""


def _without_replay(decision: Object) -> Object:
    """Nobody asks a scheduler's face for the input that a decision was made on, and it is most of the object."""
    (decision.get("spec") or {}).pop("replay", None)
    return without_managed_fields(decision)


class Infrastructure:
    """Orchestrations, Adjustments and Decisions of one namespace, and the versioned state made of them."""

    def __init__(
        self,
        orchestrations: Informer,
        cluster: Cluster,
        *,
        clock: Callable[[], datetime] = utc_now,
        epoch: str | None = None,
    ) -> None:
        self.namespace = orchestrations.watch.namespace or ""
        self.orchestrations, self.clock = orchestrations, clock
        self.adjustments = Informer(cluster, Watch(ADJUSTMENT, self.namespace))
        self.decisions = Informer(
            cluster, Watch(DECISION, self.namespace, trim=_without_replay, indexers={"orchestration": _orchestration})
        )
        self.log = StateLog(epoch or secrets.token_hex(4), clock())
        self.closed = False
        self.decided = 0
        """Counts changes of Decisions, which are not part of the state."""
        self._tick = asyncio.Event()
        self._dirty: set[str] = set()
        self._items: dict[str, Items] = {}
        self._due: asyncio.TimerHandle | None = None

    # --- life ---------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Follow, in tasks of the running loop."""
        for informer in (self.orchestrations, self.adjustments):
            informer.on_change(self._changed)
        self.decisions.on_change(self._decided)
        for informer in self._informers:
            informer.start()

    async def stop(self) -> None:
        """Stop following, and end the streams."""
        self.closed = True
        if self._due is not None:
            self._due.cancel()
        self._wake()
        await asyncio.gather(*(informer.stop() for informer in self._informers))

    @property
    def _informers(self) -> tuple[Informer, ...]:
        return self.orchestrations, self.adjustments, self.decisions

    def trouble(self) -> str:
        """Why answers may be old, or cannot be given; empty while they are fresh."""
        errors = (informer.last_error for informer in self._informers if informer.stale_since is not None)
        return self._unread() or next((str(error) for error in errors), "")

    def _unread(self) -> str:
        for informer in self._informers:
            if not informer.synced.is_set():
                why = informer.last_error or "waiting for the management cluster"
                return f"the {informer.watch.kind.plural} are not read yet: {why}"
        return ""

    def must_know(self) -> None:
        """Raise the problem while not everything was read once; then take in what is new."""
        if unread := self._unread():
            raise Problem(503, "not-ready", unread, headers={"Retry-After": "1"})
        self.flush()

    def age(self) -> int:
        """Seconds for which the management cluster has not answered; 0 while what is known is current."""
        since = [informer.stale_since for informer in self._informers if informer.stale_since is not None]
        return int(asyncio.get_running_loop().time() - min(since)) if since else 0

    def adjustment(self, orchestration: str) -> Object | None:
        """What is laid over an orchestration."""
        return self.adjustments.cache.get((self.namespace, orchestration))

    def decisions_of(self, orchestration: str) -> list[Object]:
        """The Decisions about an orchestration that are kept."""
        return self.decisions.cache.by_index("orchestration", orchestration)

    # --- changes ------------------------------------------------------------------------------------------------------
    def _changed(self, old: Object | None, new: Object | None) -> None:
        self._dirty.add(key_of(new if new is not None else old)[1])  # type: ignore[arg-type]
        if self._due is None and not self.closed:
            self._due = asyncio.get_running_loop().call_later(PAUSE, self.flush)

    def _decided(self, _old: Object | None, _new: Object | None) -> None:
        self.decided += 1

    def flush(self) -> None:
        """Take in what has changed since the last version."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not self._dirty or not all(informer.synced.is_set() for informer in self._informers):
            return
        dirty, self._dirty = self._dirty, set()
        groups = {name: self._look(name) for name in sorted(dirty)}
        self._items.update(groups)
        groups[""] = datacenters_of(
            item for items in self._items.values() for (kind, _), item in items.items() if kind == CLUSTERS
        )
        for name in [name for name, items in self._items.items() if not items]:
            del self._items[name]
        if self.log.put(groups, self.clock()):
            self._wake()

    def _look(self, name: str) -> Items:
        obj = self.orchestrations.cache.get((self.namespace, name))
        if obj is None:
            return {}
        try:
            return items_of(decode(obj), decode_adjustment(self.adjustment(name)))
        except Invalid as error:
            log.warning("orchestration %s cannot be told to schedulers: %s", name, error)
            return self._items.get(name, {})

    def _wake(self) -> None:
        tick, self._tick = self._tick, asyncio.Event()
        tick.set()

    async def next_version(self, timeout: float) -> None:
        """Return with the next version, after so many seconds at the latest, or when all ends."""
        tick = self._tick
        try:
            async with asyncio.timeout(timeout):
                await tick.wait()
        except TimeoutError:
            return


def _orchestration(decision: Object) -> list[str]:
    return [str((decision.get("spec") or {}).get("orchestration"))]
