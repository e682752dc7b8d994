"""The LowLevelOrchestrations of one namespace: read from a watch, written one application at a time.

Each application has its own field manager, so parallel writers own their entries only. A write carries the version that
its decision was made on; when somebody else was quicker, the decision is made anew on what they wrote.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

from continuo.kube.port import Cluster
from continuo.resources.errors import Conflict, Invalid, NotFound
from continuo.resources.meta import Object, key_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.informer import Watch
from continuo.runtime.sharing import SharedInformer
from continuo.server.entries import GOING, Entry, entries, handles, owners
from continuo.server.problems import busy
from continuo.telemetry.tracing import ANNOTATION, traceparent

ATTEMPTS = 24
"""How often a write is decided anew; each time somebody else's write succeeded."""


def manager_of(app: str) -> str:
    """The field manager of one application's entry."""
    return f"continuo-amf/{app}"


class Orchestrations:
    """Reads and writes. Objects that it hands out are shared and never changed."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.namespace = namespace
        self._cluster = cluster
        watch = Watch(LOW_LEVEL_ORCHESTRATION, namespace, indexers={"owner": owners, "handle": handles})
        self.informer = SharedInformer(cluster, watch)
        self.informer.on_change(self._caught_up)
        self._ahead: dict[str, Object] = {}
        """Answers to our own writes that the watch has not brought yet."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- reading ------------------------------------------------------------------------------------------------------
    def get(self, name: str) -> Object | None:
        """The newest state known of one orchestration."""
        ahead = self._ahead.get(name)
        return ahead if ahead is not None else self.informer.cache.get((self.namespace, name))

    def all(self) -> list[Object]:
        """All of them, by name."""
        return self._newest(self.informer.cache)

    def with_owner(self, owner: str) -> list[Object]:
        """Those where the owner has an application."""
        return self._newest(self.informer.cache.by_index("owner", owner))

    def with_handle(self, handle: str) -> list[Object]:
        """Those that have an application with that id or name."""
        return self._newest(self.informer.cache.by_index("handle", handle))

    def trouble(self) -> str:
        """Why what is known may be old; empty while it is fresh."""
        if not self.informer.synced.is_set():
            return f"the orchestrations are not read yet: {self.informer.last_error or 'waiting for the management cluster'}"
        return str(self.informer.last_error or "") if self.informer.stale_since is not None else ""

    def _newest(self, found: Iterable[Object]) -> list[Object]:
        newest = {obj["metadata"]["name"]: obj for obj in found} | self._ahead
        return [newest[name] for name in sorted(newest)]

    def _caught_up(self, old: Object | None, new: Object | None) -> None:
        name = key_of(new if new is not None else old)[1]  # type: ignore[arg-type]
        ahead = self._ahead.get(name)
        if ahead is not None and (new is None or _version(new) >= _version(ahead)):
            del self._ahead[name]

    def _learn(self, obj: Object) -> Object:
        obj["metadata"].pop("managedFields", None)
        cached = self.informer.cache.get(key_of(obj))
        if cached is not None and _version(cached) < _version(obj):
            self._ahead[obj["metadata"]["name"]] = obj
        return obj

    # --- writing ------------------------------------------------------------------------------------------------------
    async def declare(self, name: str, decide: Callable[[Object], Object | None], *, dry_run: bool = False) -> Object:
        """Apply the entry of `spec.apps` that `decide` returns for the newest state; None: leave it as it is.

        What `decide` raises passes through. Raises NotFound when the orchestration is gone.
        """
        async with self._lock(name):
            current = self.get(name)
            for _ in range(ATTEMPTS):
                if current is None:
                    current = await self._fetch(name)
                entry = decide(current)
                if entry is None:
                    return current
                body = self._body(current, annotations=_trace(), spec={"apps": [entry]})
                try:
                    written = await self._cluster.apply(body, manager=manager_of(entry["name"]), dry_run=dry_run)
                except Conflict:
                    current = None
                else:
                    return written if dry_run else self._learn(written)
        raise busy(f"orchestration {name} is written by too many at once")

    async def remove(self, name: str, app: str, handle: str, check: Callable[[Entry], None]) -> None:
        """Take one entry away, and leave a mark until everything of it is cleaned up.

        What `check` raises about the entry passes through; then nothing was changed.
        """
        begun = False
        async with self._lock(name):
            for _ in range(ATTEMPTS):
                current = await self._fetch(name)
                for entry in entries(current) if not begun else ():
                    if entry.name == app and not entry.going:
                        check(entry)
                try:
                    written = await self._give_up(current, app, handle)
                    begun = True
                    if await self._cut_out(written, app):
                        return
                except Conflict:
                    continue
        raise busy(f"orchestration {name} is written by too many at once")

    async def _give_up(self, current: Object, app: str, handle: str) -> Object:
        """Applying nothing gives up our entry."""
        body = self._body(current, annotations={GOING + app: handle})
        try:
            return self._learn(await self._cluster.apply(body, manager=manager_of(app)))
        except Invalid:
            return await self._mark(current, app, handle)

    async def _cut_out(self, written: Object, app: str) -> bool:
        """Whether the entry is gone: fields that others set in it keep it alive, so it is cut out."""
        place = _place(written, app)
        if place is None:
            return True
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": written["metadata"]["resourceVersion"]},
            {"op": "remove", "path": f"/spec/apps/{place}"},
        ]
        answer = await self._cluster.patch(
            LOW_LEVEL_ORCHESTRATION, name=written["metadata"]["name"], patch=patch, namespace=self.namespace, type="json",
            manager=manager_of(app),
        )  # fmt: skip
        return _place(self._learn(answer), app) is None

    async def _mark(self, current: Object, app: str, handle: str) -> Object:
        """The mark alone, with the entry as it is."""
        metadata = {"resourceVersion": current["metadata"]["resourceVersion"], "annotations": {GOING + app: handle}}
        return await self._cluster.patch(
            LOW_LEVEL_ORCHESTRATION, current["metadata"]["name"], {"metadata": metadata}, self.namespace,
            manager=manager_of(app),
        )  # fmt: skip

    async def forget(self, name: str, app: str) -> None:
        """Remove the mark of an application that is gone; whatever was declared since stays."""
        async with self._lock(name):
            current = await self._fetch(name)
            if _place(current, app) is None:
                patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"],
                                      "annotations": {GOING + app: None}}}  # fmt: skip
                self._learn(await self._cluster.patch(LOW_LEVEL_ORCHESTRATION, name, patch, self.namespace))

    async def refresh(self, name: str) -> None:
        """Read one orchestration anew; whoever asks about one that is gone is told so in time."""
        with contextlib.suppress(NotFound):
            await self._fetch(name)

    async def _fetch(self, name: str) -> Object:
        return self._learn(await self._cluster.get(LOW_LEVEL_ORCHESTRATION, name, self.namespace))

    def _body(self, current: Object, *, annotations: Object | None = None, **fields: Object) -> Object:
        metadata: Object = {
            "resourceVersion": current["metadata"]["resourceVersion"],
            "uid": current["metadata"]["uid"],
        }
        if annotations:
            metadata["annotations"] = annotations
        return LOW_LEVEL_ORCHESTRATION.new(current["metadata"]["name"], self.namespace, metadata=metadata, **fields)

    def _lock(self, name: str) -> asyncio.Lock:
        """One writer of this process at a time: they would only make each other decide anew."""
        return self._locks.setdefault(name, asyncio.Lock())


def _trace() -> Object | None:
    """Whoever carries the change out goes on in the trace of the request that asked for it."""
    trace = traceparent()
    return {ANNOTATION: trace} if trace is not None else None


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _place(obj: Object, app: str) -> int | None:
    apps = (obj.get("spec") or {}).get("apps") or ()
    return next((index for index, entry in enumerate(apps) if entry["name"] == app), None)
