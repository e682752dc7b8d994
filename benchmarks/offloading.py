"""Pods on another cluster against pods at home: the same pods, created through the API, until all are seen Running at home.

    python -m benchmarks offloading [--sizes 100,1000,10000]

Every measurement has an engine of its own (two linked clusters of a hundred workers) and is taken after a first wave of
pods that is not counted. The offloaded pods are pinned to the virtual node of the other cluster, the others to real nodes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from statistics import fmean

import uvloop

from benchmarks import processes
from benchmarks.bed import Bed, bounded, make_pairs
from benchmarks.report import Bar, Report
from continuo.federation.offloading import offload, pin
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.meta import Object, is_true
from continuo.runtime.informer import Watch

WORKERS = 100
"""Of 110 pods each: room for the largest size."""
WARM_UP = 200
IN_FLIGHT = 32
"""Requests that the client has open at a time."""
ROUNDS = {100: 20, 1_000: 6}
"""Measurements per size and place, taken in turn, of which the mean counts; two where nothing is said."""
MOST_OF_DIRECT = 2.0
MOST_GROWTH = 1.2


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one pod."""

    milliseconds: float
    engine_cpu: float
    """Milliseconds of the engine's process."""


async def measure(size: int, rounds: int, *, remote: bool) -> list[Cost]:
    """The cost of one pod among so many, on this cluster or on the other, several times over."""
    # Nodes report often where time runs fast: keep their leases, which nobody waits for, out of the measurement.
    with processes.engine(speed=50.0, lease_renewal=3000.0) as engine:
        with processes.operator(engine):
            async with Bed(engine.hello["kubeconfig"]) as bed:
                (pair,) = await make_pairs(bed, 1, workers=WORKERS)
        async with Bed(engine.hello["kubeconfig"]) as bed:
            home = await bed.workload(pair, "green")
            there = f"{pair}-rose" if remote else None
            await _wave(bed, home, "warm-up", WARM_UP, there, pair)
            return [await _cost(bed, engine, home, f"wave-{number}", size, there, pair) for number in range(rounds)]


async def _cost(
    bed: Bed, engine: processes.Child, home: KubeCluster, namespace: str, size: int, there: str | None, pair: str
) -> Cost:
    before = engine.usage()
    seconds = await _wave(bed, home, namespace, size, there, pair)
    used = engine.usage() - before
    return Cost(1000 * seconds / size, 1000 * used.cpu / size)


def mean(costs: list[Cost]) -> Cost:
    """Over all waves: the least of many short ones would leave out what comes round rarely."""
    return Cost(fmean(cost.milliseconds for cost in costs), fmean(cost.engine_cpu for cost in costs))


async def _wave(bed: Bed, home: KubeCluster, namespace: str, size: int, remote: str | None, pair: str) -> float:
    """Create so many pods and wait until all run; seconds from the first request on."""
    await home.apply(kinds.NAMESPACE.new(namespace), manager="benchmark")
    if remote is not None:
        await home.apply(offload(namespace, f"{pair}-green", [remote]), manager="benchmark")
        await bed.until(home, Watch(kinds.NAMESPACE_OFFLOADING, namespace), lambda _, new: _offloaded(new))
    running: set[str] = set()
    started = 0.0

    def look(_: Object | None, new: Object | None) -> bool:
        if new is not None and (new.get("status") or {}).get("phase") == "Running" and is_true(new, "Ready"):
            running.add(new["metadata"]["name"])
        return len(running) == size

    async def create() -> None:
        nonlocal started
        started = time.perf_counter()
        await bounded((home.create(_pod(namespace, number, remote)) for number in range(size)), IN_FLIGHT)

    await bed.until(home, Watch(kinds.POD, namespace), look, create)
    return time.perf_counter() - started


def _offloaded(offloading: Object | None) -> bool:
    return ((offloading or {}).get("status") or {}).get("offloadingPhase") == "Ready"


def _pod(namespace: str, number: int, remote: str | None) -> Object:
    container = {"name": "main", "image": "registry.example.org/main:1", "ports": [{"containerPort": 8080}]}
    spec = {"containers": [container], **pin(remote)}
    return kinds.POD.new(f"pod-{number:05d}", namespace, metadata={"labels": {"app": "main"}}, spec=spec)


def main(arguments: list[str]) -> int:
    """Run the sizes; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks offloading")
    parser.add_argument("--sizes", default="100,1000,10000")
    sizes = [int(size) for size in parser.parse_args(arguments).sizes.split(",")]
    report = Report("offloading", "baseline: the same pods created directly in one cluster, in the same run")
    report.head("pods", "direct ms/pod", "offloaded ms/pod", "ratio", "direct CPU ms", "offloaded CPU ms", "CPU ratio")
    costs: dict[int, Cost] = {}
    for size in sizes:
        found: dict[bool, list[Cost]] = {False: [], True: []}
        rounds = ROUNDS.get(size, 2)
        for part in (rounds // 2, rounds - rounds // 2):
            for remote in found:
                found[remote] += uvloop.run(measure(size, part, remote=remote))
        direct, there = mean(found[False]), mean(found[True])
        costs[size] = there
        ratio, cpu = there.milliseconds / direct.milliseconds, there.engine_cpu / direct.engine_cpu
        report.row(
            f"{size:,}", f"{direct.milliseconds:.2f}", f"{there.milliseconds:.2f}", f"{ratio:.2f}x",
            f"{direct.engine_cpu:.2f}", f"{there.engine_cpu:.2f}", f"{cpu:.2f}x",
        )  # fmt: skip
        report.bar(Bar(f"{size:,} pods offloaded against direct", ratio, MOST_OF_DIRECT))
    first, last = costs[sizes[0]], costs[sizes[-1]]
    growth = last.milliseconds / first.milliseconds
    report.bar(Bar(f"time per offloaded pod, {sizes[-1]:,} against {sizes[0]:,}", growth, MOST_GROWTH))
    report.bar(Bar("engine CPU per offloaded pod, the same", last.engine_cpu / first.engine_cpu, MOST_GROWTH))
    return report.end()
