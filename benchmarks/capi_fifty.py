"""Fifty clusters declared at once, on real Cluster API: how long, and with how many refused writes.

Machines are simulated (Cluster API's development provider); API server, managers and operator are real. The operator lets
only so many clusters be provisioned at the same time.

python -m benchmarks capi_fifty [--clusters 50] [--limit 10]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.bed import NAMESPACE, Bed
from benchmarks.cluster_api import conflicts, missing, real_cluster_api
from benchmarks.report import Bar, Report
from continuo.kube.client import KubeCluster
from continuo.orchestrator.settings import Settings
from continuo.resources.errors import Conflict
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.informer import Watch
from continuo.testbed.capi import PROGRAMS

EACH = 10
"""Clusters of one orchestration."""
STORM = 1.0
"""Refused writes per second that would be a storm; fifty and more were seen with upstream's own settings."""


@dataclass(slots=True)
class Seen:
    """What was measured."""

    ready: dict[str, float] = field(default_factory=dict)
    """Seconds from the declaration, by cluster."""
    deleted: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    complained: Counter[str] = field(default_factory=Counter)
    """Lines about refused writes in the managers' logs, by manager."""
    own: int = 0
    """Refused writes of the operator."""


def _spec(number: int, count: int) -> Object:
    clusters = [
        {"name": f"c{index:02d}", "provider": "dev", "kubernetes-version": "v1.34.2", "worker-machine-count": 1}
        for index in range(number * EACH, min(count, (number + 1) * EACH))
    ]
    return {"clusters": clusters}


async def measure(count: int, limit: int) -> Seen:
    """Create them, wait for all, and delete them."""
    seen, settings = Seen(), Settings(provisioning_limit=limit)
    async with real_cluster_api(settings) as (capi, operator), Bed(capi.cluster.kubeconfig) as bed:
        names = [f"many{number}" for number in range(-(-count // EACH))]
        before = await conflicts(bed.api)
        began = time.monotonic()

        def look(_: Object | None, new: Object | None) -> bool:
            for entry in ((new or {}).get("status") or {}).get("clusters") or ():
                if entry["phase"] == "Ready":
                    seen.ready.setdefault(entry["name"], time.monotonic() - began)
            return len(seen.ready) == count

        async def begin() -> None:
            await asyncio.gather(*(bed.declare(name, _spec(number, count)) for number, name in enumerate(names)))

        await bed.until(bed.api, Watch(LOW_LEVEL_ORCHESTRATION), look, begin)
        seen.refused = await conflicts(bed.api) - before
        for program in PROGRAMS:
            text = capi.log_file(program).read_text(encoding="utf-8", errors="replace")
            seen.complained[program] = text.count("Operation cannot be fulfilled")
        seen.deleted = await _delete(bed, names)
        assert isinstance(operator.management, KubeCluster)
        seen.own = operator.management.refusals[Conflict.reason]
    return seen


async def _delete(bed: Bed, names: list[str]) -> float:
    began, left = time.monotonic(), set(names)

    def look(old: Object | None, new: Object | None) -> bool:
        if new is None and old is not None:
            left.discard(old["metadata"]["name"])
        return not left

    async def begin() -> None:
        await asyncio.gather(*(bed.api.delete(LOW_LEVEL_ORCHESTRATION, name, NAMESPACE) for name in names))

    await bed.until(bed.api, Watch(LOW_LEVEL_ORCHESTRATION), look, begin)
    return time.monotonic() - began


def main(arguments: list[str]) -> int:
    """Measure; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks capi_fifty")
    parser.add_argument("--clusters", type=int, default=50)
    parser.add_argument("--limit", type=int, default=Settings().provisioning_limit)
    options = parser.parse_args(arguments)
    if problem := missing():
        print(problem, file=sys.stderr)
        return 1
    about = f"{options.clusters} clusters of two machines at once, {options.limit} being provisioned, real Cluster API"
    report = Report("capi_fifty", about)
    seen = asyncio.run(measure(options.clusters, options.limit))
    times = sorted(seen.ready.values())
    report.head("first", "median", "last", "all deleted", "refused writes")
    total = sum(seen.refused.values())
    report.row(f"{times[0]:.0f} s", f"{statistics.median(times):.0f} s", f"{times[-1]:.0f} s",
               f"{seen.deleted:.0f} s", str(total))  # fmt: skip
    report.note("refused (409) by resource: " + (_told(seen.refused) or "none"))
    report.note("complaints in the managers' logs: " + (_told(seen.complained) or "none"))
    report.bar(Bar("refused writes of all per second", total / times[-1], STORM, ""))
    report.bar(Bar("refused writes of the operator", seen.own, 0, ""))
    return report.end()


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common() if count)
