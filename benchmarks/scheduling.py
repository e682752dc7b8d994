"""How long many pods take: in their own cluster, through one link, and through a broker that passes them on.

    python -m benchmarks scheduling [--sizes 1000,10000] [--rounds N]

Time runs from the first request to the last pod that is seen Ready in the consumer's cluster. Every round has an engine of
its own with three bare clusters, whose provider has the nodes; the ways are taken in turn. `link` is one reflection,
`broker` two in a chain, with the broker's selector in between, which asks a policy while the copy is created; for `bound`
it binds the copy afterwards. All reflections and the selector run in one process. CPU is what other users of the machine
change least.

All of it shares the cores of this computer, so what counts is work, and the broker is a cluster more to write to. How long
pods take where clusters have machines of their own, as they do outside of a benchmark, is what `scheduling_apart` measures:
what is demanded of the broker against a link is demanded there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from statistics import fmean, median
from typing import Any, TypeAlias

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
AROUND = 2
"""Waves of each smaller size before the largest, and as many after it."""
IN_FLIGHT = 32
MOST_GROWTH = 11.0
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


@dataclass(frozen=True, slots=True)
class Round:
    """The waves of one round."""

    turns: dict[str, dict[int, list[Cost]]]
    """By way and size: the ways took turns, so that each wave is next to one of each other way."""
    beside: dict[str, list[Cost]]
    """By way: waves of the smallest size that came just before and just after the largest one of the same way."""


Found: TypeAlias = list[Round]


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


@dataclass(frozen=True, slots=True)
class Lane:
    """The clusters and the processes of one way."""

    way: str
    home: KubeCluster
    engines: Sequence[processes.Child]
    fleets: Sequence[processes.Child]

    async def measure(self, name: str, size: int) -> Cost:
        """The cost of one wave; it is removed again."""
        before, asked = _cpu(self.engines), [fleet.usage() for fleet in self.fleets]
        seconds = await wave(self.home, self.way, name, size)
        used = [fleet.usage() - earlier for fleet, earlier in zip(self.fleets, asked, strict=True)]
        cost = Cost(
            seconds, _cpu(self.engines) - before, sum(each.cpu for each in used), sum(each.calls for each in used)
        )
        await remove(self.home, name, size)
        return cost


def _cpu(children: Sequence[processes.Child]) -> float:
    return sum(child.usage().cpu for child in children)


Lanes: TypeAlias = AbstractAsyncContextManager[Lane]


@asynccontextmanager
async def lane(way: str) -> AsyncIterator[Lane]:
    """A way with everything that it needs, after a first wave that is not counted."""
    nodes, selecting = nodes_of(way)
    with processes.clusters([CONSUMER, BROKER, PROVIDER], NODES, speed=50.0, lease_renewal=3000.0) as engine:
        config = engine.hello
        if selecting:
            await declare(config[BROKER])
        async with connected(config[CONSUMER]) as home:
            await home.create(kinds.NAMESPACE.new(SPACE))
            with processes.fleet(config, nodes, **selecting) as fleet:
                made = Lane(way, home, [engine], [fleet])
                await made.measure("warm-up", WARM_UP)
                yield made


async def measure(
    sizes: list[int], rounds: int, ways: Sequence[str] = WAYS, lane: Callable[[str], Lanes] = lane
) -> Found:
    """All ways side by side, since a machine may be slower for a while: what is compared is never far apart.

    In each round the smaller waves come before and after the largest ones, the ways in turn for every wave. Each largest wave
    has two of the smallest size around it, too, to tell how the time grows.
    """
    *smaller, largest = sizes
    found: Found = []
    async with AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(lane(way)) for way in ways]
        for number in range(rounds):
            made = Round({way: {size: [] for size in sizes} for way in ways}, {way: [] for way in ways})
            found.append(made)
            for part in range(2):
                for turn, size in enumerate(smaller * AROUND):
                    for each in _turned(lanes, turn):
                        cost = await each.measure(f"wave-{number}-{part}-{turn}", size)
                        made.turns[each.way][size].append(cost)
                for each in _turned(lanes, number) if part == 0 else ():
                    await _largest(each, made, smaller[:1], largest, f"wave-{number}")
    return found


async def _largest(each: Lane, made: Round, smallest: list[int], largest: int, name: str) -> None:
    """The largest wave of a way, with the smallest around it where there are others."""
    for size in smallest:
        made.beside[each.way].append(await each.measure(f"{name}-before", size))
    made.turns[each.way][largest].append(await each.measure(f"{name}-largest", largest))
    for size in smallest:
        made.beside[each.way].append(await each.measure(f"{name}-after", size))


def _turned(lanes: Sequence[Lane], turn: int) -> list[Lane]:
    """The lanes, another one first for each turn."""
    first = turn % len(lanes)
    return [*lanes[first:], *lanes[:first]]


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
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args(arguments)
    sizes = [int(size) for size in options.sizes.split(",")]
    return report(sizes, uvloop.run(measure(sizes, options.rounds)))


def seconds_of(cost: Cost) -> float:
    """What a user waits."""
    return cost.seconds


def calls_of(cost: Cost) -> int:
    """Requests of the reflections."""
    return cost.calls


def cpu_of(cost: Cost) -> float:
    """What it costs, all processes together."""
    return cost.engine + cost.fleet


def waves(found: Found, way: str, size: int) -> list[Cost]:
    """All waves of a way and a size, in the order in which they were taken."""
    return [cost for one in found for cost in one.turns[way][size]]


def report(sizes: list[int], found: Found) -> int:
    """Print what was measured, and the bars."""
    paper = Report("scheduling", "from the first request until the last pod is Ready, in one run")
    table(paper, WAYS, sizes, found)
    growth(paper, WAYS, sizes, found, (("time", seconds_of), ("CPU", cpu_of)))
    paper.note("")
    for size in sizes:
        time, cpu, calls = (against(found, (CHAIN, LINK), size, of) for of in (seconds_of, cpu_of, calls_of))
        paper.note(f"{size:,} pods, broker against link: {time:.2f}x time, {cpu:.2f}x CPU, {calls:.2f}x requests")
    return paper.end()


def table(paper: Report, ways: Sequence[str], sizes: list[int], found: Found) -> None:
    """What was measured, a line for each size and way."""
    paper.head("pods", "way", "seconds", "ms/pod", "clusters CPU ms", "fleet CPU ms", "requests/pod")
    for size in sizes:
        for way in ways:
            costs = waves(found, way, size)
            seconds = fmean(cost.seconds for cost in costs)
            engine, fleet = fmean(cost.engine for cost in costs), fmean(cost.fleet for cost in costs)
            paper.row(
                f"{size:,}", way, f"{seconds:.2f}", f"{1000 * seconds / size:.2f}", f"{1000 * engine / size:.2f}",
                f"{1000 * fleet / size:.2f}", f"{costs[0].calls / size:.1f}",
            )  # fmt: skip


Measures: TypeAlias = Sequence[tuple[str, Callable[[Cost], float]]]
"""What is compared, by its name."""


def growth(paper: Report, ways: Sequence[str], sizes: list[int], found: Found, measures: Measures) -> None:
    """The bars on the largest size against the smallest."""
    first, last = sizes[0], sizes[-1]
    if last == first:
        return
    for way, (what, of) in product(ways, measures):
        grown = fmean(fmean(map(of, one.turns[way][last])) / fmean(map(of, one.beside[way])) for one in found)
        paper.bar(Bar(f"{way}: {what} for {last:,} pods against {first:,}", grown, MOST_GROWTH * last / first / 10))


def against(found: Found, ways: tuple[str, str], size: int, of: Callable[[Cost], float]) -> float:
    """How much more one way takes than another: the median over pairs of waves that came one after the other."""
    one, other = ways
    return median(
        of(this) / of(that) for this, that in zip(waves(found, one, size), waves(found, other, size), strict=True)
    )
