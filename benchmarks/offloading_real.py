"""Pods on another cluster against pods at home, on real API servers: by our reflection engine, and by real Liqo.

    python -m benchmarks offloading --engine kubernetes [--sizes 10,100,500] [--rounds N]

One bed of two whole clusters, linked by real Liqo. All measured pods end on nodes of the same kind, simulated ones, in the
home cluster (direct) or in the other one: hundreds of containers are more than a machine's node takes, and starting them
would hide what is measured. The three ways are measured in turn, several rounds, in one run. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import uvloop

from benchmarks import processes
from benchmarks.bed import Bed, bounded, is_ready, until
from benchmarks.report import Bar, Report
from continuo.federation.offloading import offload, pin
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.meta import Object, is_true
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.informer import Watch
from continuo.testbed import bed as testbed
from continuo.testbed.liqo import PROGRAMS
from continuo.testbed.simulated import APART, simulate_nodes
from continuo.testbed.tools import CONTROL_PLANE, NODE, Tools, find_tools

HOME, THERE = "a", "b"
FAR = "far"
"""Our own virtual node."""
DIRECT, OURS, LIQO = WAYS = ("direct", "by-ours", "by-liqo")
"""Also the names of the namespaces."""
SIMULATED = 4
"""Nodes for the pods in each cluster, of 250 pods each."""
WARM_UP = 20
QUIET = 2.0
"""Seconds after a wave was removed until the next one."""
IN_FLIGHT = 32
ROUNDS = {10: 8, 100: 5, 500: 3}
"""Measurements per size and way, taken in turn; three where nothing is said."""
MOST_OF_LIQO = 1.0


def missing(tools: Tools) -> str | None:
    """Why this cannot be measured here."""
    if reason := testbed.no_containers(tools):
        return f"real Liqo cannot run here: {reason}"
    lacking = tools.missing((*CONTROL_PLANE, *NODE, "kwok", *PROGRAMS))
    return f"{', '.join(lacking)} missing on this machine; get them with: make testbed" if lacking else None


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clients of both ends."""

    home: KubeCluster
    there: KubeCluster

    async def wave(self, way: str, size: int) -> float:
        """Create so many pods, wait until all are Ready at home, remove them; milliseconds for each."""
        running: set[str] = set()
        began = 0.0

        def look(_: Object | None, new: Object | None) -> bool:
            if new is not None and (new.get("status") or {}).get("phase") == "Running" and is_true(new, "Ready"):
                running.add(new["metadata"]["name"])
            return len(running) == size

        async def create() -> None:
            nonlocal began
            began = time.perf_counter()
            await bounded((self.home.create(pod(way, number)) for number in range(size)), IN_FLIGHT)

        await until(self.home, Watch(kinds.POD, way), look, create)
        took = time.perf_counter() - began
        await self._check(way)
        await self._remove(way, size)
        return 1000 * took / size

    async def _check(self, way: str) -> None:
        """That the pods run where they should, on nodes of the same kind."""
        cluster = self.home if way == DIRECT else self.there
        nodes = {item["spec"].get("nodeName", "") for item in (await cluster.list(kinds.POD, way)).items}
        if not nodes or not all(name.startswith(f"{cluster.name}-simulated-") for name in nodes):
            raise SystemExit(
                f"{way}: the pods are on {sorted(nodes)}, not on simulated nodes of cluster {cluster.name}"
            )

    async def _remove(self, way: str, size: int) -> None:
        """Delete them, wait until they are gone, and a little longer, so that the next wave pays for nothing of it."""
        left = {_name(number) for number in range(size)}

        def look(old: Object | None, new: Object | None) -> bool:
            if new is None and old is not None:
                left.discard(old["metadata"]["name"])
            return not left

        async def delete() -> None:
            await bounded((self.home.delete(kinds.POD, name, way) for name in sorted(left)), IN_FLIGHT)

        await until(self.home, Watch(kinds.POD, way), look, delete)
        await asyncio.sleep(QUIET)


def _name(number: int) -> str:
    return f"pod-{number:04d}"


def pod(way: str, number: int) -> Object:
    """The same pod, in the way's namespace, for the way's node."""
    container = {"name": "main", "image": "registry.example.org/main:1", "ports": [{"containerPort": 8080}]}
    spec: Object = {"containers": [container]}
    if way == LIQO:
        spec |= pin(THERE)
    else:
        spec["nodeSelector"] = {"type": "kwok"} if way == DIRECT else {"kubernetes.io/hostname": FAR}
    mine = [{"key": VIRTUAL_NODE, "operator": "Exists"}] if way == OURS else []
    spec["tolerations"] = [*spec.get("tolerations", ()), *mine, {"key": APART["key"], "operator": "Exists"}]
    return kinds.POD.new(_name(number), way, metadata={"labels": {"app": "main"}}, spec=spec)


@asynccontextmanager
async def clusters(tools: Tools) -> AsyncIterator[Clusters]:
    """Two whole clusters, linked by real Liqo and reflected by us; ended and forgotten afterwards."""
    with tempfile.TemporaryDirectory(prefix="continuo-benchmark-") as folder:
        plan = testbed.Plan((HOME, THERE), containers=True, liqo=True)
        real = await testbed.Bed.start(Path(folder), plan, tools=tools, progress=_say)
        try:
            for cluster in real.clusters.values():
                if cluster.name in plan.clusters:
                    await simulate_nodes(cluster, SIMULATED, apart=True)
            _say("linking the clusters by Liqo")
            await _link(real)
            ends = [connect(real.kubeconfig(name), name=name) for name in plan.clusters]
            try:
                await _prepare(*ends)
                files = [real.clusters[name].kubeconfig_file for name in plan.clusters]
                with processes.reflector(*files, node=FAR, namespaces=[OURS]):
                    yield Clusters(*ends)
            finally:
                await asyncio.gather(*(end.close() for end in ends))
        finally:
            await real.stop()


async def _link(real: testbed.Bed) -> None:
    """By an operator, which is not there any more when something is measured."""
    kubeconfig = real.kubeconfig(testbed.MANAGEMENT)
    spec = {
        "clusters": [
            {"name": name, "provider": "existing", "kubeconfig": f"{name}-kubeconfig"} for name in real.plan.clusters
        ],
        "links": [list(real.plan.clusters)],
    }
    with processes.operator_of(kubeconfig):
        async with Bed(kubeconfig) as bed:
            await bed.declare("pair", spec)
            await bed.until(
                bed.api, Watch(LOW_LEVEL_ORCHESTRATION), lambda _, new: new is not None and is_ready(new)
            )  # fmt: skip


async def _prepare(home: KubeCluster, there: KubeCluster) -> None:
    """The namespaces; and nothing but simulated nodes for new pods."""
    for cluster in (home, there):
        for node in (await cluster.list(kinds.NODE)).items:
            if node["metadata"]["name"] == f"{cluster.name}-node-1":
                await cluster.patch(kinds.NODE, node["metadata"]["name"], {"spec": {"unschedulable": True}})
    for way in WAYS:
        await home.apply(kinds.NAMESPACE.new(way), manager="benchmark")
    await home.apply(offload(LIQO, HOME, [THERE]), manager="benchmark")
    await until(home, Watch(kinds.NAMESPACE_OFFLOADING, LIQO), lambda _, new: _offloaded(new))


def _offloaded(offloading: Object | None) -> bool:
    return ((offloading or {}).get("status") or {}).get("offloadingPhase") == "Ready"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def measure(rounds: dict[int, int], tools: Tools) -> AsyncIterator[tuple[int, dict[str, list[float]]]]:
    """Milliseconds per pod, by size and way."""
    async with clusters(tools) as both:
        for way in WAYS:
            await both.wave(way, WARM_UP)
        for size, times in rounds.items():
            found: dict[str, list[float]] = {way: [] for way in WAYS}
            for number in range(times):
                turn = number % len(WAYS)
                for way in (*WAYS[turn:], *WAYS[:turn]):
                    found[way].append(await both.wave(way, size))
                    _say(f"{size} pods, round {number + 1} of {times}, {way}: {found[way][-1]:.1f} ms per pod")
            yield size, found


def main(arguments: list[str]) -> int:
    """Run the sizes; 1 when a bar is missed, 2 when it cannot be measured here."""
    parser = argparse.ArgumentParser(prog="benchmarks offloading --engine kubernetes")
    parser.add_argument("--sizes", default="10,100,500")
    parser.add_argument("--rounds", type=int, help="of every size; by default more for the smaller ones")
    options = parser.parse_args(arguments)
    rounds = {int(size): options.rounds or ROUNDS.get(int(size), 3) for size in options.sizes.split(",")}
    tools = find_tools()
    if reason := missing(tools):
        print(f"offloading --engine kubernetes: {reason}", file=sys.stderr)
        return 2
    report = Report("offloading", "real API servers; baseline: the same pods created directly, in the same run")
    report.head("pods", "rounds", "direct ms/pod", "ours ms/pod", "ratio", "Liqo ms/pod", "ratio", "ours to Liqo")
    uvloop.run(_report(report, rounds, tools))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    report.note(f"\nload of the machine over 1, 5 and 15 minutes at the end: {load} on {os.cpu_count()} cores")
    return report.end()


async def _report(report: Report, rounds: dict[int, int], tools: Tools) -> None:
    async for size, found in measure(rounds, tools):
        direct, ours, liqo = (fmean(found[way]) for way in WAYS)
        report.row(
            f"{size:,}", str(len(found[DIRECT])), _shown(found[DIRECT]), _shown(found[OURS]), f"{ours / direct:.2f}x",
            _shown(found[LIQO]), f"{liqo / direct:.2f}x", f"{ours / liqo:.2f}x",
        )  # fmt: skip
        report.bar(Bar(f"{size:,} pods by our reflection against real Liqo", ours / liqo, MOST_OF_LIQO))


def _shown(values: list[float]) -> str:
    return f"{fmean(values):.1f} ±{stdev(values) if len(values) > 1 else 0.0:.1f}"
