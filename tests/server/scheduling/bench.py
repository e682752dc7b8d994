"""The server with two orchestrations' worth of things to schedule, over an embedded management cluster; no operator."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from server_bench import Client, management, serving

from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources.loop import ADJUSTMENT
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.server.orchestrations import Orchestrations
from continuo.server.scheduler.app import create_scheduler_app
from continuo.server.scheduler.parts import SchedulerParts, make_scheduler
from continuo.server.subjects import Gate, Policy
from continuo.server.tokens import TokenFile

TOKENS = """
ai-token,ai,1,continuo:schedulers
other-token,other,2,continuo:schedulers
ann-token,ann,3,dev
root-token,root,0,system:masters
"""
STATE = "/scheduler/v1/state"
BEGAN = datetime(2026, 3, 1, 10, 0, 0, tzinfo=UTC)


def cluster(name: str, tier: str = "cloud", **more: Any) -> Object:
    return {"name": name, "kubernetes-version": "v1.34.2", "tier": tier, "worker-machine-count": 1, **more}


def component(name: str, **more: Any) -> Object:
    resources = {"requests": {"cpu": "500m", "memory": "256Mi"}}
    return {"name": name, "image": f"registry.example.org/{name}:1", "resources": resources, **more}


def spec() -> Object:
    """Three clusters; one component is pinned, two are placed, one waits."""
    return {
        "clusters": [
            cluster("rose", datacenter="milan", location={"country": "IT", "city": "Milan"}, labels={"iso27001": "true"}),
            cluster("green", "edge", datacenter="turin", location={"country": "IT", "city": "Turin"}),
            cluster("blue", "edge", datacenter="paris", location={"country": "FR", "city": "Paris"}),
        ],
        "links": [["rose", "green"]],
        "placement": {"scheduler": "external", "decide-within": 30},
        "apps": [
            {
                "name": "shop", "owner": "ann", "cluster": "rose",
                "components": [
                    component("db", **{"cluster-selector": "rose"}),
                    component("web", placement={}),
                    component("cache", placement={}),
                    component("late", placement={}, **{"placement-hint": "EDGE"}),
                ],
            }
        ],
    }  # fmt: skip


def status() -> Object:
    """All clusters are well, with four CPUs each."""
    room = {"cpu": "4", "memory": "8Gi"}
    seen = [
        {"name": name, "phase": "Ready", "version": "v1.34.2", "allocatable": room, "requested": {"cpu": "1"}}
        for name in ("rose", "green", "blue")
    ]
    link = {"clusters": ["green", "rose"], "phase": "Connected", "latency": "4ms"}
    return {"clusters": seen, "links": [link]}


def places(**where: str) -> list[Object]:
    return [
        {"component": f"shop/{name}", "cluster": to, "decision": "placement-1", "since": "2026-03-01T09:00:00Z"}
        for name, to in where.items()
    ]


class Clock:
    """The time that the server believes."""

    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Bench:
    """The management cluster, and callers of the interface."""

    def __init__(self, cluster: KubeCluster, client: Client, parts: SchedulerParts, clock: Clock) -> None:
        self.cluster, self.parts, self.clock, self.url = cluster, parts, clock, client.base
        self.ai, self.other = client.as_("ai-token"), client.as_("other-token")
        self.ann, self.root, self.nobody = client.as_("ann-token"), client.as_("root-token"), client

    async def declare(self, spec: Object, name: str = "main") -> Object:
        obj = LOW_LEVEL_ORCHESTRATION.new(name, "default", spec=spec)
        return await self.cluster.apply(obj, manager="administrator")

    async def say(self, status: Object, name: str = "main") -> None:
        await self.cluster.patch(
            LOW_LEVEL_ORCHESTRATION, name, {"status": status}, "default", subresource="status", manager="continuo"
        )

    async def adjust(self, spec: Object, name: str = "main") -> None:
        await self.cluster.apply(ADJUSTMENT.new(name, "default", spec=spec), manager="continuo")

    async def state(self) -> Object:
        status, body, _ = await self.ai.call("GET", STATE)
        assert status == 200, body
        found: Object = body
        return found

    async def until(self, holds: Any) -> Object:
        """The first state of which it holds."""
        async with asyncio.timeout(10):
            while True:
                state = await self.state()
                if holds(state):
                    return state
                await asyncio.sleep(0.01)

    async def ready(self) -> None:
        """Until the state is served."""
        async with asyncio.timeout(10):
            while True:
                if (await self.ai.call("GET", STATE))[0] == 200:
                    return
                await asyncio.sleep(0.01)


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str, Object]]:
    """(id, event, data) of a stream as it comes."""
    fields: dict[str, str] = {}
    async for line in response.content:
        text = line.decode().rstrip("\n")
        if text.startswith(":"):
            continue
        if text:
            name, _, value = text.partition(": ")
            fields[name] = value
        elif fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}


def find(state: Object, collection: str, identity: str) -> Object:
    return next(item for item in state[collection] if item["id"] == identity)


def parts_on(cluster: KubeCluster, clock: Clock) -> SchedulerParts:
    gate = Gate([TokenFile(TOKENS)], Policy())
    return make_scheduler(cluster, Orchestrations(cluster, "default"), gate, clock=clock)


@contextlib.asynccontextmanager
async def beside(bench: Bench) -> AsyncIterator[Bench]:
    """Another server on the same cluster, as after a restart."""
    parts = parts_on(bench.cluster, bench.clock)
    async with serving(create_scheduler_app(parts)) as base, aiohttp.ClientSession() as session:
        again = Bench(bench.cluster, Client(session, base, ""), parts, bench.clock)
        await again.ready()
        yield again


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Bench]:
    async with management() as (engine, _):
        cluster = connect(engine.kubeconfig("management"), name="management")
        clock = Clock()
        parts = parts_on(cluster, clock)
        async with serving(create_scheduler_app(parts)) as base, aiohttp.ClientSession() as session:
            bench = Bench(cluster, Client(session, base, ""), parts, clock)
            await bench.declare(spec())
            await bench.say(status())
            await bench.adjust({"places": places(web="rose", cache="green")})
            await bench.ready()
            await bench.until(lambda state: len(state["pending"]) == 1 and state["links"])
            yield bench
        await cluster.close()
