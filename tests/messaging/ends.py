"""Operator's and backend's ends on one table: a world at hand, a topic that is a list, and a clock that is set."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from continuo.events.buffer import Buffer
from continuo.events.cloudevent import Event
from continuo.events.sink import SinkUnavailable
from continuo.orchestrator.act import Attempts
from continuo.orchestrator.backend import messages
from continuo.orchestrator.backend.carrier import Carrier
from continuo.orchestrator.backend.remote import Remote
from continuo.orchestrator.caches import CachedCluster
from continuo.orchestrator.executor import Round
from continuo.orchestrator.plan import Plan, Write
from continuo.resources.errors import ApiError
from continuo.resources.meta import Key, Kind, Object, key_of
from orchestrator.worlds import Bench, app, cluster, component

KEY: Key = ("default", "o")
SPEC = {"clusters": [cluster("green")], "apps": [app("shop", "green", component("web", "green"))]}


class Topic:
    """Keeps what is published; while it is away it takes nothing."""

    name = "list"

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away = False
        self.heard = asyncio.Event()

    async def publish(self, events: Sequence[Event]) -> None:
        self.heard.set()
        if self.away:
            raise SinkUnavailable("the topic takes no messages: it is away")
        self.events += events

    def outcomes(self) -> list[str]:
        return [messages.outcome_of(event) or "" for event in self.events]


class Server:
    """One cluster's API, whose writes change the world."""

    def __init__(self, table: Table, name: str) -> None:
        self.name, self._table = name, table

    async def apply(self, obj: Object, *, manager: str) -> Object:
        self._table.asked(self.name, obj)
        kind = self._kind(obj)
        self._table.bench._write(Write(self.name, "apply", kind, obj))
        return self._store().get(kind, obj["metadata"]["name"], key_of(obj)[0])

    async def delete(self, kind: Kind, name: str, namespace: str | None) -> None:
        self._table.asked(self.name, {})
        obj = kind.new(name, namespace)
        self._table.bench._write(Write(self.name, "delete", kind, obj))

    def _store(self) -> Any:
        bench = self._table.bench
        return bench.workloads[f"o-{self.name}"] if self.name else bench.management

    def _kind(self, obj: Object) -> Kind:
        said = (obj["apiVersion"], obj["kind"])
        return next(kind for kind in self._store().caches if (kind.api_version, kind.kind) == said)


class Table:
    """Both ends."""

    def __init__(self, spec: Object | None = None) -> None:
        self.bench = Bench(spec or SPEC)
        self.time = 1000.0
        self.topic, self.attempts = Topic(), Attempts(1.0, 300.0)
        self.looks: list[tuple[Key, float]] = []
        self.learned: list[Write] = []
        self.writes: list[tuple[str, Object]] = []
        self.failure: ApiError | None = None
        self.out = Buffer(self.topic)
        self.remote = self.operator()
        self.carrier = Carrier("b1", self.out, now=self.now, clock=self.now)
        self.carrier.attach(lambda key, seconds: self.looks.append((key, seconds)))
        self._tasks: list[asyncio.Task[None]] = []

    def operator(self, name: str = "op1") -> Remote:
        remote = Remote(name, self.out, now=self.now, clock=self.now)
        remote.attach(lambda key, seconds: self.looks.append((key, seconds)))
        return remote

    def now(self) -> float:
        return self.time

    def asked(self, cluster: str, obj: Object) -> None:
        if self.failure is not None:
            raise self.failure
        self.writes.append((cluster, obj))

    def round(self, plan: Plan | None = None) -> Round:
        snapshot, _, decided = self.bench.look()
        servers: dict[str, Any] = {name: Server(self, name) for name in ("", *snapshot.clusters)}
        return Round(
            plan or decided, snapshot, self.attempts, servers, lambda write, _answer: self.learned.append(write),
            CachedCluster(self.bench.management.caches),
        )  # fmt: skip

    async def decide(self, plan: Plan | None = None) -> list[Event]:
        """One round of the operator; returns what it asked for."""
        before = len(self.topic.events)
        await self.remote.run(self.round(plan))
        await self.told()
        return [e for e in self.topic.events[before:] if messages.outcome_of(e) == messages.REQUESTED]

    def hand(self, *commands: Event) -> None:
        """Commands arrive at the backend."""
        self._tasks += [asyncio.create_task(self.carrier.take(event)) for event in commands]

    async def work(self) -> list[tuple[str, str]]:
        """One round of the backend; returns what it answered: outcome and step."""
        before = len(self.topic.events)
        await asyncio.sleep(0)  # what arrived is taken
        await self.carrier.run(self.round())
        for _ in range(20):
            await asyncio.sleep(0)
        await self.told()
        answers = self.topic.events[before:]
        return [(messages.outcome_of(event) or "", event.data["step"]) for event in answers]

    async def answered(self) -> None:
        """What the backend said so far reaches the operator."""
        for event in self.topic.events:
            await self.remote.take(event)

    async def told(self) -> None:
        """All that was offered is on the topic."""
        pump = asyncio.create_task(self.out.run())
        for _ in range(20):
            await asyncio.sleep(0)
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
