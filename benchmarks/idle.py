"""What a system costs in which nothing happens: 50 clusters and 500 applications, all running, watched and left alone.

python -m benchmarks idle [--clusters 50] [--applications 500] [--seconds 60]
"""

from __future__ import annotations

import argparse
import asyncio

import uvloop

from benchmarks import processes
from benchmarks.bed import Bed, add_applications, make_pairs
from benchmarks.report import Bar, Report

SPEED = 100.0
SETTLE = 10.0
"""Seconds after the last application was ready: what was delayed is done then."""
MOST_OF_A_CORE = 2.0
"""Percent."""


async def measure(clusters: int, applications: int, seconds: float) -> dict[str, processes.Usage]:
    """What both processes use while nothing happens."""
    # The stand-ins run at their real speed in this respect: a node renews its lease once a minute.
    with (
        processes.engine(speed=SPEED, lease_renewal=60.0 * SPEED) as engine,
        processes.operator(engine, provisioning_limit=clusters) as operator,
    ):
        async with Bed(engine.hello["kubeconfig"]) as bed:
            pairs = await make_pairs(bed, clusters // 2)
            await add_applications(bed, pairs, applications)
            await bed.ready(applications, len(pairs))
        await asyncio.sleep(SETTLE)
        children = {"operator": operator, "engine": engine}
        before = {name: child.usage() for name, child in children.items()}
        await asyncio.sleep(seconds)
        return {name: child.usage() - before[name] for name, child in children.items()}


def main(arguments: list[str]) -> int:
    """Measure; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks idle")
    parser.add_argument("--clusters", type=int, default=50)
    parser.add_argument("--applications", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    about = f"{options.clusters} clusters, {options.applications} applications, {options.seconds:g} quiet seconds"
    report = Report("idle", about)
    report.head("process", "CPU s", "% of a core", "resident MiB", "requests")
    used = uvloop.run(measure(options.clusters, options.applications, options.seconds))
    share = {name: 100 * usage.cpu / options.seconds for name, usage in used.items()}
    for name, usage in used.items():
        requests = ", ".join(f"{verb} {count}" for verb, count in usage.requests.items()) or "none"
        report.row(name, f"{usage.cpu:.2f}", f"{share[name]:.2f}", f"{usage.rss:.0f}", requests)
    report.bar(Bar("list calls of the operator", used["operator"].requests.get("list", 0), 0, ""))
    report.bar(Bar("operator's share of a core", share["operator"], MOST_OF_A_CORE, "%"))
    report.bar(Bar("engine's share of a core", share["engine"], MOST_OF_A_CORE, "%"))
    return report.end()
