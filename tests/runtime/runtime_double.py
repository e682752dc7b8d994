"""A cluster in memory, and an event loop whose clock jumps: the runtime's tests need neither sockets nor patience."""

from __future__ import annotations

import asyncio
import copy
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from continuo.kube.port import Change, Listing
from continuo.resources.errors import AlreadyExists, ApiError, Conflict, Expired, NotFound, Unreachable
from continuo.resources.meta import Kind, Object, key_of

T = TypeVar("T")
WIDGET = Kind("example.dev", "v1", "Widget", "widgets")


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Instead of waiting it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits for something that will never happen")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Like asyncio.run, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class Double:
    """One cluster: objects, a log of their changes, and ways to make it misbehave."""

    def __init__(self, name: str = "double") -> None:
        self.name = name
        self.requests: Counter[str] = Counter()
        self.down = False
        self.hangs = False
        self.refuse: ApiError | None = None
        self.unserved: set[Kind] = set()
        self.oldest = 0
        self.closed = False
        self.end_watches_after: int | None = None
        self._version = 0
        self._objects: dict[tuple[str, tuple[str, str]], Object] = {}
        self._log: list[tuple[int, str, Change]] = []
        self._changed = asyncio.Event()
        self._epoch = 0

    # --- what the test does to it ---
    def put(self, obj: Object) -> Object:
        key = obj["kind"], key_of(obj)
        self._version += 1
        known = key in self._objects
        stored = copy.deepcopy(obj)
        stored["metadata"]["resourceVersion"] = str(self._version)
        self._objects[key] = stored
        self._append(Change("MODIFIED" if known else "ADDED", stored))
        return stored

    def remove(self, kind: Kind, name: str, namespace: str = "default") -> None:
        gone = self._objects.pop((kind.kind, (namespace, name)))
        self._version += 1
        last = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self._version)}}
        self._append(Change("DELETED", last))

    def bookmark(self, kind: Kind) -> None:
        self._append(Change("BOOKMARK", {"kind": kind.kind, "metadata": {"resourceVersion": str(self._version)}}))

    def forget_log(self) -> None:
        """Everything before now is too old to watch from."""
        self.oldest, self._log = self._version, []

    def break_watches(self) -> None:
        self._epoch += 1
        self._wake()

    def truth(self, kind: Kind) -> dict[tuple[str, str], str]:
        return {
            key: obj["metadata"]["resourceVersion"] for (name, key), obj in self._objects.items() if name == kind.kind
        }

    def _append(self, change: Change) -> None:
        self._log.append((self._version, change.object["kind"], change))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # --- the port ---
    def _check(self, verb: str, kind: Kind) -> None:
        self.requests[verb] += 1
        if self.down:
            raise Unreachable(f"{self.name} is down")
        if self.refuse is not None:
            raise self.refuse
        if kind in self.unserved:
            raise NotFound(f"{self.name} serves no {kind.plural}")

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        self._check("get", kind)
        found = self._objects.get((kind.kind, (namespace or "", name)))
        if found is None:
            raise NotFound(f"{kind.plural} {name} not found")
        return copy.deepcopy(found)

    async def list(self, kind: Kind, namespace: str | None = None, **_: Any) -> Listing:
        self._check("list", kind)
        await asyncio.sleep(0.01)
        found = [copy.deepcopy(obj) for (name, _key), obj in self._objects.items() if name == kind.kind]
        return Listing(found, str(self._version))

    async def watch(self, kind: Kind, namespace: str | None = None, *, since: str, **_: Any) -> AsyncIterator[Change]:
        self._check("watch", kind)
        epoch, version, sent = self._epoch, int(since), 0
        assert self.requests["watch"] < 1000, "flooded"
        yield Change("BOOKMARK", {"metadata": {"resourceVersion": since}})
        if sent == self.end_watches_after:
            return
        if version < self.oldest:
            raise Expired(f"version {version} is too old")
        log, position = self._log, 0
        while epoch == self._epoch:
            for number, name, change in log[position:]:
                if name == kind.kind and number >= version + (change.type != "BOOKMARK"):
                    yield Change(change.type, copy.deepcopy(change.object))
                    sent += 1
                    if sent == self.end_watches_after:
                        return
            position = len(log)
            if log is not self._log:  # it was trimmed; what we hold of the old one is all sent
                log, position = self._log, 0
            elif epoch == self._epoch:
                await self._changed.wait()
        raise Unreachable(f"{self.name} cut the connection")

    async def create(self, obj: Object, *, manager: str | None = None, dry_run: bool = False) -> Object:
        self._check("create", WIDGET)
        if (obj["kind"], key_of(obj)) in self._objects:
            raise AlreadyExists(f"{obj['metadata']['name']} exists")
        return copy.deepcopy(self.put(obj))

    async def replace(self, obj: Object, *, subresource: str | None = None, manager: str | None = None) -> Object:
        self._check("replace", WIDGET)
        if self.hangs:
            await asyncio.Event().wait()
        stored = self._objects.get((obj["kind"], key_of(obj)))
        if stored is None:
            raise NotFound(f"{obj['metadata']['name']} not found")
        if stored["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        return copy.deepcopy(self.put(obj))

    async def patch(self, kind: Kind, name: str, patch: Any, namespace: str | None = None, **_: Any) -> Object:
        stored = await self.get(kind, name, namespace)
        return copy.deepcopy(self.put({**stored, **patch}))

    async def close(self) -> None:
        self.closed = True


def widget(name: str, namespace: str = "default", **fields: Any) -> Object:
    return WIDGET.new(name, namespace, **fields)
