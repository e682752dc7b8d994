"""From the declaration to a ready cluster, by bootstrap provider and size.

kubeadm on real Cluster API with simulated machines; kubeadm, K3s and MicroK8s on the embedded engine's stand-ins. How long a
machine takes to start, and on the embedded engine everything else that is somebody else's work, is configured: what is
measured is what comes on top, and the order in which things wait for each other. See docs/benchmarks.md.

python -m benchmarks provisioning [--startup 20] [--rounds 3] [--speed 5] [--no-real]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.bed import NAMESPACE, Bed, is_ready
from benchmarks.cluster_api import missing, real_cluster_api, working
from benchmarks.report import Report
from continuo.cli.host import Host
from continuo.embedded.standins.settings import Settings as StandIns
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.informer import Watch

SIZES = (1, 3, 5)
KINDS = {"kubeadm": SIZES, "k3s": SIZES, "microk8s": (1,)}
"""MicroK8s nodes do not find each other by name, so its clusters have one."""
INFRASTRUCTURE, JOINING, CHART = 8.0, 15.0, 10.0
"""Seconds on the embedded engine: a cluster's network, a kubelet's first minute, a Helm chart."""


def _spec(nodes: int, **more: object) -> Object:
    basic = {"name": "c", "kubernetes-version": "v1.34.2", "worker-machine-count": nodes - 1}
    return {"clusters": [{**basic, **more}]}


async def _time(bed: Bed, spec: Object) -> float:
    """Seconds from the declaration to Ready; the cluster is deleted afterwards."""
    name = "timed"
    began = time.monotonic()
    await bed.until(
        bed.api, Watch(LOW_LEVEL_ORCHESTRATION),
        lambda _, new: new is not None and is_ready(new), lambda: bed.declare(name, spec),
    )  # fmt: skip
    took = time.monotonic() - began
    await bed.until(
        bed.api, Watch(LOW_LEVEL_ORCHESTRATION), lambda old, new: old is not None and new is None,
        lambda: bed.api.delete(LOW_LEVEL_ORCHESTRATION, name, NAMESPACE),
    )  # fmt: skip
    return took


async def real(startup: int, rounds: int) -> dict[int, list[float]]:
    """kubeadm by size, on real Cluster API."""
    async with real_cluster_api() as (capi, _), Bed(capi.cluster.kubeconfig) as bed:
        return {
            size: [await _time(bed, _spec(size, **_dev(startup))) for _ in range(rounds)] for size in SIZES
        }  # fmt: skip


def _dev(startup: int) -> Object:
    return {"provider": "dev", "machine-startup": startup}


@asynccontextmanager
async def _engine(startup: int, speed: float) -> AsyncIterator[Bed]:
    settings = StandIns(
        speed=speed, jitter=0.2, infrastructure=INFRASTRUCTURE, vm_boot=startup, bootstrap=JOINING, helm_install=CHART
    )
    host = Host(None, standins=settings, seed=1)
    await host.start()
    try:
        async with working(host.operator()), Bed(host.engine.kubeconfig("management")) as bed:
            yield bed
    finally:
        await host.stop()


async def simulated(startup: int, rounds: int, speed: float) -> dict[tuple[str, int], list[float]]:
    """Simulated seconds by bootstrap provider and size, on the embedded engine."""
    found: dict[tuple[str, int], list[float]] = {}
    async with _engine(startup, speed) as bed:
        for kind, sizes in KINDS.items():
            for size in sizes:
                spec = _spec(size, **{"kubernetes-type": kind, "packages": []})
                found[kind, size] = [speed * await _time(bed, spec) for _ in range(rounds)]
    return found


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks provisioning")
    parser.add_argument("--startup", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--speed", type=float, default=5.0)
    parser.add_argument("--no-real", action="store_true")
    options = parser.parse_args(arguments)
    report = Report("provisioning", f"seconds to a ready cluster, machines start in {options.startup} to "
                                    f"{options.startup * 1.2:g} s, mean of {options.rounds}")  # fmt: skip
    report.head("bootstrap", "engine", *(f"{size} node{'s' if size > 1 else ''}" for size in SIZES))
    if options.no_real or (problem := missing()):
        print("" if options.no_real else f"real Cluster API: {problem}", file=sys.stderr)
    else:
        _row(report, "kubeadm", "Cluster API", asyncio.run(real(options.startup, options.rounds)))
    times = asyncio.run(simulated(options.startup, options.rounds, options.speed))
    for kind in KINDS:
        _row(report, kind, "embedded", {size: times[kind, size] for size in KINDS[kind]})
    return report.end()


def _row(report: Report, kind: str, engine: str, by_size: dict[int, list[float]]) -> None:
    report.row(kind, engine, *(f"{statistics.mean(by_size[size]):.0f} s" if size in by_size else "-" for size in SIZES))
