"""What the demo sees, through watches like everybody's: the orchestration as it changes, and decisions as they are made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from continuo.cli.failures import Failed
from continuo.cli.follow import why_not_ready
from continuo.cli.loop_demo.scene import NAME, NAMESPACE
from continuo.kube.port import Cluster
from continuo.orchestrator.loops.frame import summary
from continuo.resources.errors import Expired
from continuo.resources.loop import DECISION, decode_decision
from continuo.resources.meta import Kind, Object, is_true
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

Test = Callable[[Object], bool]


class Watching:
    """The newest orchestration, and the decisions of its loops, told as they come."""

    def __init__(self, cluster: Cluster, tell: Callable[[str, str], None], timeout: float) -> None:
        self._cluster, self._tell, self._timeout = cluster, tell, timeout
        self._began = time.perf_counter()
        self._object: Object = {}
        self._changed = asyncio.Condition()
        self._told: set[str] = set()
        self.decisions = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(LOW_LEVEL_ORCHESTRATION, self._see))
            tasks.create_task(self._follow(DECISION, self._decided))

    async def until(self, test: Test, what: str) -> Object:
        """The orchestration as soon as that holds of it; raises Failed when it takes too long."""
        try:
            async with asyncio.timeout(self._timeout), self._changed:
                await self._changed.wait_for(lambda: bool(self._object) and test(self._object))
                return self._object
        except TimeoutError:
            raise Failed(f"{what}: not within {self._timeout:g} s; {why_not_ready(self._object)}") from None

    async def _follow(self, kind: Kind, tell: Callable[[Object], Any]) -> None:
        while True:
            listing = await self._cluster.list(kind, NAMESPACE)
            for obj in listing.items:
                await tell(obj)
            try:
                async for obj in self._changes(kind, listing.resource_version):
                    await tell(obj)
            except Expired:
                continue

    async def _changes(self, kind: Kind, since: str) -> AsyncIterator[Object]:
        async for change in self._cluster.watch(kind, NAMESPACE, since=since):
            if change.type in ("ADDED", "MODIFIED"):
                yield change.object

    async def _see(self, obj: Object) -> None:
        if obj["metadata"]["name"] == NAME:
            async with self._changed:
                self._object = obj
                self._changed.notify_all()

    async def _decided(self, obj: Object) -> None:
        """A decision of a loop, once: who, what, why."""
        name = obj["metadata"]["name"]
        if name in self._told:
            return
        self._told.add(name)
        self.decisions += 1
        spec = decode_decision(obj)
        who = spec.source.removeprefix("policy/")
        took = time.perf_counter() - self._began
        self._tell(f"{took:5.1f} s  {who:<13}  ", f"{summary(spec.actions)}; {spec.reason}")


def runs(path: str, *where: str, ready: str | None = None) -> Test:
    """Whether a component runs, in one of those clusters where some are named, with so many pods ready."""
    app_name, _, name = path.partition("/")

    def holds(obj: Object) -> bool:
        apps = (obj.get("status") or {}).get("apps") or ()
        parts = [c for app in apps if app["name"] == app_name for c in app.get("components") or () if c["name"] == name]
        return any(
            part.get("phase") == "Running"
            and (not where or part.get("cluster") in where)
            and ready in (None, part.get("ready"))
            for part in parts
        )

    return holds


def place_of(obj: Object, path: str) -> str:
    """The cluster that a component is on."""
    app_name, _, name = path.partition("/")
    apps = (obj.get("status") or {}).get("apps") or ()
    found = [c for app in apps if app["name"] == app_name for c in app.get("components") or () if c["name"] == name]
    return str(found[0].get("cluster") or "") if found else ""


def ready(obj: Object) -> bool:
    """Whether everything is as it is declared, with what the loops laid over it."""
    current = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
    return current and is_true(obj, "Ready")


def without(cluster: str) -> Test:
    """Whether everything is ready and that cluster is gone."""
    return lambda obj: ready(obj) and all(c["name"] != cluster for c in obj["status"].get("clusters") or ())
