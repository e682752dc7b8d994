"""One kind of one cluster, followed: listed once, then watched, and kept in a cache that tells of every change.

A broken connection is taken up where it ended. Only when the server no longer knows our version is the kind listed
again, and then the difference is told, so that no deletion is missed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from continuo.kube.port import Change, Cluster
from continuo.resources.errors import ApiError, Expired, InternalError, NotFound
from continuo.resources.meta import Key, Kind, Object, key_of
from continuo.runtime.backoff import Backoff
from continuo.runtime.cache import Cache, Indexer

log = logging.getLogger(__name__)

Handler = Callable[[Object | None, Object | None], None]
"""Called with (old, new): old is None for what appeared, new is None for what is gone. Must be quick and not block."""


def without_managed_fields(obj: Object) -> Object:
    """The default trim: nobody who reads a cache needs them, and they are half of many objects."""
    obj["metadata"].pop("managedFields", None)
    return obj


@dataclass(frozen=True, slots=True)
class Watch:
    """What to follow, independent of the cluster."""

    kind: Kind
    namespace: str | None = None
    labels: str | None = None
    fields: str | None = None
    indexers: Mapping[str, Indexer] = field(default_factory=dict)
    trim: Callable[[Object], Object] = without_managed_fields
    """Applied to each object that comes in, which it may change, before it is cached."""
    optional: bool = False
    """The kind may not be installed: that is an empty cache, not a failure, and `wake` says when to look again."""


class Informer:
    """Follows one `Watch` on one cluster, in one task."""

    RECHECK = 600.0
    """Seconds after which an optional kind that is not served is asked for even if nobody called `wake`."""

    HOPES = 6
    """How often after a `wake` the kind is asked for in short steps: an API server serves a CRD a moment after it says so."""
    HEALTHY = 10.0
    """A watch that was open for so many seconds ends the row of failures before it."""

    def __init__(
        self,
        cluster: Cluster,
        watch: Watch,
        *,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.cluster, self.watch = cluster, watch
        self.cache = Cache(watch.indexers)
        self.synced = asyncio.Event()
        """Set when the cache first holds what the server had."""
        self.stale_since: float | None = None
        """Loop time since which the server does not answer; None while it does."""
        self.last_error: ApiError | None = None
        """Why it does not answer."""
        self.served = True
        """False while an optional kind is not installed."""
        self.on_recovery: Callable[[], None] = lambda: None
        """Called when the server answers again, or serves the kind at last."""
        self.lists = 0
        self._backoff, self._random = backoff or Backoff(base=0.5, cap=30.0), rng or random.Random()
        self._handlers: list[Handler] = []
        self._version: str | None = None
        self._failures = self._hopes = 0
        self._opened: float | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def on_change(self, handler: Handler) -> None:
        """Call back for every change from now on; what is cached already is told at once."""
        self._handlers.append(handler)
        for obj in list(self.cache):
            self._call(handler, None, obj)

    def start(self) -> None:
        """Follow in a task of the running loop."""
        if self._task is None:
            name = f"watch {self.cluster.name} {self.watch.kind.resource}"
            self._task = asyncio.create_task(self.run(), name=name)

    async def stop(self) -> None:
        """Stop following; the cache keeps its last state."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def reconnect(self, cluster: Cluster) -> None:
        """Go on through another client. Its cluster may have been made anew: list once and tell what differs."""
        running = self._task is not None
        await self.stop()
        self.cluster, self._version = cluster, None
        if running:
            self.start()

    def learn(self, obj: Object) -> None:
        """Take the server's answer to our own write, so that nobody acts on an older state until the watch has it.

        The answer may come after the watch told of it, and of what followed: then it is old news, of an object that may
        be gone.
        """
        if self.synced.is_set() and _is_newer(obj, self._version):
            self._put(obj)

    def wake(self) -> None:
        """Do not wait any longer: the server, or the kind, may be back."""
        self._hopes = self.HOPES
        self._wake.set()

    def retry(self) -> None:
        """Do not wait any longer if the server did not answer: it answers others again."""
        if self.stale_since is not None:
            self._wake.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self._wake, self._opened, listed = asyncio.Event(), None, self._version is None
            try:
                if self._version is None:
                    await self._list()
                await self._follow(self._version or "0")
                if self._lasted() < 1.0:
                    await self._pause()  # a server that ends every watch at once is not to be flooded
            except Expired as error:
                log.info("%s: %s: %s; listing again", self.cluster.name, self.watch.kind.resource, error)
                self._version = None
                if listed:
                    await self._pause()  # else it is only that we were away, or the server was: list at once
            except NotFound as error:
                await self._missing(error)
            except ApiError as error:
                self._unanswered(error)
                await self._pause()
            except Exception as error:
                log.exception("%s: %s cannot be followed", self.cluster.name, self.watch.kind.resource)
                self._unanswered(InternalError(f"{type(error).__name__}: {error}"))
                self._version = None
                await self._pause()

    async def _list(self) -> None:
        watch = self.watch
        listing = await self.cluster.list(watch.kind, watch.namespace, labels=watch.labels, fields=watch.fields)
        self.lists += 1
        came = not self.served
        self._answered()
        gone = set(self.cache.keys())
        for item in listing.items:
            gone.discard(self._put(item))
        for key in gone:
            self._drop(key)
        self._version = listing.resource_version
        self.synced.set()
        if came:
            self.on_recovery()  # with no object of the kind nothing else tells those who missed it

    async def _follow(self, since: str) -> None:
        watch = self.watch
        stream = self.cluster.watch(watch.kind, watch.namespace, since=since, labels=watch.labels, fields=watch.fields)
        async for change in stream:
            if self._opened is None:
                self._opened = asyncio.get_running_loop().time()
                self._answered()
            self._take(change)

    def _take(self, change: Change) -> None:
        self._version = change.object["metadata"]["resourceVersion"]
        if change.type == "BOOKMARK":
            return
        if change.type == "DELETED":
            self._drop(key_of(change.object))
        elif not self._outdated(change.object):
            self._put(change.object)

    def _outdated(self, obj: Object) -> bool:
        """Whether we learned a later state of the object from an answer already."""
        known = self.cache.get(key_of(obj))
        if known is None or known["metadata"].get("uid") != obj["metadata"].get("uid"):
            return False
        return _is_newer(known, obj["metadata"].get("resourceVersion"))

    def _put(self, obj: Object) -> Key:
        key = key_of(obj)
        old = self.cache.get(key)
        if old is None or old["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
            new = self.watch.trim(obj)
            self.cache.put(key, new)
            self._tell(old, new)
        return key

    def _drop(self, key: Key) -> None:
        old = self.cache.drop(key)
        if old is not None:
            self._tell(old, None)

    def _tell(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            self._call(handler, old, new)

    def _call(self, handler: Handler, old: Object | None, new: Object | None) -> None:
        try:
            handler(old, new)
        except Exception:
            log.exception("%s: a handler of %s failed", self.cluster.name, self.watch.kind.resource)

    def _answered(self) -> None:
        if self.stale_since is not None:
            log.info("%s: %s is being followed again", self.cluster.name, self.watch.kind.resource)
            self.stale_since = self.last_error = None
            self.on_recovery()
        self.served = True

    def _unanswered(self, error: ApiError) -> None:
        if self.stale_since is None:
            self.stale_since = asyncio.get_running_loop().time()
            log.info("%s: %s: %s", self.cluster.name, self.watch.kind.resource, error)
        self.last_error = error

    async def _missing(self, error: NotFound) -> None:
        """The kind is not served (any more)."""
        self._version = None
        if not self.watch.optional:
            self._unanswered(error)
            await self._pause()
            return
        self._answered()
        self.served = False
        for key in list(self.cache.keys()):
            self._drop(key)
        self.synced.set()
        if self._hopes > 0:
            self._hopes -= 1
            await self._pause()
            return
        await self._sleep(self.RECHECK * (1.0 + 0.2 * self._random.random()))

    def _lasted(self) -> float:
        """For how many seconds the watch that just ended was open."""
        return 0.0 if self._opened is None else asyncio.get_running_loop().time() - self._opened

    async def _pause(self) -> None:
        self._failures = 1 if self._lasted() >= self.HEALTHY else self._failures + 1
        await self._sleep(self._backoff.delay(self._failures, self._random))

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return


def _is_newer(obj: Object, version: str | None) -> bool:
    """Whether the object is surely younger than that version of its kind; versions that are no numbers do not compare."""
    own = obj["metadata"].get("resourceVersion") or ""
    return bool(version) and own.isdecimal() and str(version).isdecimal() and int(own) > int(str(version))
