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

QUIET, LONGEST = 5.0, 600.0
"""Seconds: without a request of the operator for so long the system is idle. (Events are posted slowly, afterwards.)"""
MOST_OF_A_CORE = 2.0
"""Percent."""


async def measure(clusters: int, applications: int, seconds: float) -> dict[str, processes.Usage]:
    """What both processes use while nothing happens."""
    # At its normal speed: leases, probes and pings come as often as ever.
    with (
        processes.engine() as engine,
        processes.operator(engine, provisioning_limit=clusters) as operator,
    ):
        async with Bed(engine.hello["kubeconfig"]) as bed:
            pairs = await make_pairs(bed, clusters // 2)
            await add_applications(bed, pairs, applications)
            await bed.ready(applications, len(pairs))
        await _quiet(operator)
        children = {"operator": operator, "engine": engine}
        before = {name: child.usage() for name, child in children.items()}
        await asyncio.sleep(seconds)
        return {name: child.usage() - before[name] for name, child in children.items()}


async def _quiet(operator: processes.Child) -> None:
    """Wait until the operator has said everything that it had to say."""
    before, now = -1, operator.usage().calls
    async with asyncio.timeout(LONGEST):
        while now != before:
            await asyncio.sleep(QUIET)
            before, now = now, operator.usage().calls


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
    report.bar(Bar("share of a core, operator and engine", sum(share.values()), MOST_OF_A_CORE, "%"))
    return report.end()
