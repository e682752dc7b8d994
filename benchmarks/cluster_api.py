"""Real Cluster API with an operator of this process, for benchmarks."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from continuo.cli.host import local_operator
from continuo.kube.client import KubeCluster
from continuo.orchestrator.operator import Operator
from continuo.orchestrator.settings import Settings
from continuo.testbed.capi import PROGRAMS, ClusterApi, management_cluster
from continuo.testbed.tools import CONTROL_PLANE, find_tools

MISSING = "%s missing on this machine; get them with: make testbed"


def missing() -> str:
    """Why real Cluster API cannot run here; empty when it can."""
    lacking = find_tools().missing((*CONTROL_PLANE[:3], *PROGRAMS))
    return MISSING % ", ".join(lacking) if lacking else ""


@asynccontextmanager
async def working(operator: Operator) -> AsyncIterator[Operator]:
    """Let an operator work meanwhile."""
    task = asyncio.create_task(operator.run())
    try:
        yield operator
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await operator.management.close()


@asynccontextmanager
async def real_cluster_api(settings: Settings | None = None) -> AsyncIterator[tuple[ClusterApi, Operator]]:
    """Everything started; ended and forgotten afterwards."""
    with tempfile.TemporaryDirectory(prefix="continuo-benchmark-") as folder:
        async with (
            management_cluster(Path(folder), find_tools()) as capi,
            working(local_operator(capi.cluster.kubeconfig, settings)) as operator,
        ):
            yield capi, operator


async def conflicts(api: KubeCluster) -> Counter[str]:
    """Writes of anybody that the API server refused as outdated since it was started, by resource.

    A POST that is answered so is no such write: it says that the object is there already.
    """
    found: Counter[str] = Counter()
    for line in (await api.raw("/metrics")).decode().splitlines():
        if line.startswith("apiserver_request_total{") and 'code="409"' in line and 'verb="POST"' not in line:
            labels, _, value = line.rpartition(" ")
            found[labels.partition('resource="')[2].partition('"')[0]] += int(float(value))
    return found
