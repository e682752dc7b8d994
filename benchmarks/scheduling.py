"""How long many pods take: in their own cluster, through one link, and through a broker that passes them on.

    python -m benchmarks scheduling [--sizes 1000,10000] [--rounds N]

Time runs from the first request to the last pod that is seen Ready in the consumer's cluster. Every round has an engine of
its own with three bare clusters, whose provider has the nodes; the ways are taken in turn. `link` is one reflection,
`broker` two in a chain, with the broker's selector in between, which asks a policy while the copy is created; for `bound`
it binds the copy afterwards. All reflections and the selector run in one process. CPU is what other users of the machine
change least.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

import uvloop

from benchmarks import processes
from benchmarks.bed import bounded, until
from benchmarks.report import Bar, Report
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import broker as models
from continuo.resources import kinds
from continuo.resources.crds import own_crds
from continuo.resources.meta import Object, is_true
from continuo.runtime.informer import Watch

CONSUMER, BROKER, PROVIDER = "consumer", "broker", "provider"
DIRECT, LINK, CHAIN, BOUND = WAYS = ("direct", "link", "broker", "bound")
NODES = 100
WARM_UP = 100
IN_FLIGHT = 32
MOST_GROWTH, MOST_OF_LINK = 11.0, 1.3
SPACE = "shop"
SCHEDULER, LABEL = "continuo-broker", "continuo.dev/provider"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one wave."""

    seconds: float
    engine: float
    """CPU seconds of the clusters."""
    fleet: float
    """CPU seconds of the reflections, and of the selector."""
    calls: int
    """Requests of the fleet."""


def nodes_of(way: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The virtual nodes of a way, and whose selector places pods when."""
    if way == DIRECT:
        return [], {}
    if way == LINK:
        return [{"home": CONSUMER, "remote": PROVIDER, "node": "far", "namespaces": [SPACE]}], {}
    first = {"home": CONSUMER, "remote": BROKER, "node": "far", "namespaces": [SPACE], "scheduler": SCHEDULER,
             "home_id": CONSUMER, "offer": {"cpu": "10k", "memory": "10Ti", "pods": "100k"}}  # fmt: skip
    onward = {"home": BROKER, "remote": PROVIDER, "node": PROVIDER, "namespaces": [], "consumers": True,
              "labels": {LABEL: PROVIDER}, "offer": {"cpu": "10k", "memory": "10Ti", "pods": "100k"}}  # fmt: skip
    return [first, onward], {"broker": BROKER, "at_creation": way == CHAIN}


async def declare(kubeconfig: str) -> None:
    """What the broker knows of both sides, with a measurement that its policy asks for."""
    broker = connect(kubeconfig, name=BROKER)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rules = {
        "authorization": [{"name": "known", "expression": "consumer.organisation == 'shop'"}],
        "compliance": [{"name": "region", "expression": "provider.region.startsWith('eu-')"}],
        "performance": [{"name": "near", "expression": "measured.latency < 20.0", "maxAge": 100_000}],
    }
    try:
        for crd in own_crds():
            await broker.create(crd)
        await broker.create(models.CONSUMER.new(CONSUMER, spec={"organisation": "shop"}))
        for name, region in ((PROVIDER, "eu-south"), ("elsewhere", "us-east")):
            await broker.create(models.PROVIDER.new(name, spec={"region": region}))
            measured = [{"name": "latency", "value": 5.0, "at": now}]
            await broker.patch(models.PROVIDER, name, {"status": {"measured": measured}}, subresource="status")
        await broker.create(models.BROKER_POLICY.new("near", spec=rules))
    finally:
        await broker.close()


async def measure(way: str, sizes: list[int]) -> dict[int, Cost]:
    """The cost of a wave of each size, on one engine, after a first one that is not counted."""
    nodes, selecting = nodes_of(way)
    with processes.clusters([CONSUMER, BROKER, PROVIDER], NODES, speed=50.0, lease_renewal=3000.0) as engine:
        config = engine.hello
        if selecting:
            await declare(config[BROKER])
        async with connected(config[CONSUMER]) as home:
            await home.create(kinds.NAMESPACE.new(SPACE))
            with processes.fleet(config, nodes, **selecting) as fleet:
                await wave(home, way, "warm-up", WARM_UP)
                await remove(home, "warm-up", WARM_UP)
                costs = {}
                for size in sizes:
                    before, asked = engine.usage().cpu, fleet.usage()
                    seconds = await wave(home, way, f"wave-{size}", size)
                    used = fleet.usage() - asked
                    costs[size] = Cost(seconds, engine.usage().cpu - before, used.cpu, used.calls)
                    await remove(home, f"wave-{size}", size)
                return costs


class connected:
    """A client while it is needed."""

    def __init__(self, kubeconfig: str) -> None:
        self._client = connect(kubeconfig, name=CONSUMER)

    async def __aenter__(self) -> KubeCluster:
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


def names(wave: str, size: int) -> list[str]:
    """Of the pods of a wave."""
    return [f"{wave}-{number:05d}" for number in range(size)]


async def wave(home: KubeCluster, way: str, name: str, size: int) -> float:
    """Create so many pods and wait until all are Ready; seconds until the last one was."""
    running: set[str] = set()
    began = 0.0

    def look(_: Object | None, new: Object | None) -> bool:
        if new is not None and new["metadata"]["name"] not in running and is_true(new, "Ready"):
            running.add(new["metadata"]["name"])
        return len(running) == size

    async def create() -> None:
        nonlocal began
        began = time.perf_counter()
        await bounded((home.create(pod(way, each)) for each in names(name, size)), IN_FLIGHT)

    await until(home, Watch(kinds.POD, SPACE, labels=f"wave={name}"), look, create)
    return time.perf_counter() - began


async def remove(home: KubeCluster, name: str, size: int) -> None:
    """Delete a wave, and wait until it is gone."""
    left = set(names(name, size))

    def gone(old: Object | None, new: Object | None) -> bool:
        if new is None and old is not None:
            left.discard(old["metadata"]["name"])
        return not left

    async def delete() -> None:
        await bounded((home.delete(kinds.POD, each, SPACE) for each in names(name, size)), IN_FLIGHT)

    await until(home, Watch(kinds.POD, SPACE, labels=f"wave={name}"), gone, delete)


def pod(way: str, name: str) -> Object:
    """The same pod for every way, but for its node."""
    container = {"name": "main", "image": "registry.example.org/main:1", "ports": [{"containerPort": 8080}]}
    spec: Object = {"containers": [container]}
    if way != DIRECT:
        spec["nodeName"] = "far"
    labels = {"app": "main", "wave": name.rpartition("-")[0]}
    return kinds.POD.new(name, SPACE, metadata={"labels": labels}, spec=spec)


def main(arguments: list[str]) -> int:
    """Run the sizes; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks scheduling")
    parser.add_argument("--sizes", default="1000,10000")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args(arguments)
    sizes = [int(size) for size in options.sizes.split(",")]
    found: dict[str, list[dict[int, Cost]]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way in WAYS:
            found[way].append(uvloop.run(measure(way, sizes)))
    return report(sizes, found)


def seconds_of(cost: Cost) -> float:
    """What a user waits."""
    return cost.seconds


def cpu_of(cost: Cost) -> float:
    """What it costs, all processes together."""
    return cost.engine + cost.fleet


def report(sizes: list[int], found: dict[str, list[dict[int, Cost]]]) -> int:
    """Print what was measured, and the bars."""
    paper = Report("scheduling", "from the first request until the last pod is Ready, in one run")
    paper.head("pods", "way", "seconds", "ms/pod", "clusters CPU ms", "fleet CPU ms", "requests/pod")
    mean: dict[tuple[str, int], float] = {}
    for size in sizes:
        for way in WAYS:
            costs = [costs[size] for costs in found[way]]
            seconds = mean[way, size] = fmean(cost.seconds for cost in costs)
            engine, fleet = fmean(cost.engine for cost in costs), fmean(cost.fleet for cost in costs)
            paper.row(
                f"{size:,}", way, f"{seconds:.2f}", f"{1000 * seconds / size:.2f}", f"{1000 * engine / size:.2f}",
                f"{1000 * fleet / size:.2f}", f"{costs[0].calls / size:.1f}",
            )  # fmt: skip
    first, last = sizes[0], sizes[-1]
    if last > first:
        for way in WAYS:
            growth, fair = mean[way, last] / mean[way, first], MOST_GROWTH * last / first / 10
            paper.bar(Bar(f"{way}: time for {last:,} pods against {first:,}", growth, fair))
            cpu = fmean(cpu_of(each[last]) for each in found[way]) / fmean(cpu_of(each[first]) for each in found[way])
            paper.bar(Bar(f"{way}: CPU, the same", cpu, fair))
    for size in sizes:
        for what, of in (("time", seconds_of), ("CPU", cpu_of)):
            ratio = fmean(of(each[size]) for each in found[CHAIN]) / fmean(of(each[size]) for each in found[LINK])
            paper.bar(Bar(f"{size:,} pods through the broker against a link, {what}", ratio, MOST_OF_LINK))
    return paper.end()
