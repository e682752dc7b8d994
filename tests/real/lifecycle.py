"""Real Cluster API under one operator, and what the tests ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from continuo.cli.host import local_operator
from continuo.orchestrator.operator import Operator
from continuo.orchestrator.plan import Plan
from continuo.orchestrator.preview import preview
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.testbed.capi import ClusterApi, management_cluster
from continuo.testbed.tools import Tools
from scenarios.beds import Bed

WRITES = ("apply", "patch", "create", "replace", "delete")
CLUSTER_NAME = "cluster.x-k8s.io/cluster-name"


class LifecycleBed(Bed):
    """A management cluster with Cluster API, and the operator at work."""

    def __init__(self, capi: ClusterApi, operator: Operator) -> None:
        super().__init__(kubeconfig=capi.cluster.kubeconfig)
        self.capi, self.operator = capi, operator

    async def plan(self, name: str) -> Plan:
        """What would happen if the orchestration were applied again as it is."""
        found = await self.api.get(LOW_LEVEL_ORCHESTRATION, name, "default")
        again = LOW_LEVEL_ORCHESTRATION.new(name, "default", spec=found["spec"])
        return await preview(self.api, again, manager="test")

    def writes(self) -> int:
        """How many writes the operator sent to the management cluster so far."""
        return sum(self.operator.management.requests[verb] for verb in WRITES)

    async def machines(self, cluster: str) -> list[Object]:
        found = await self.api.list(kinds.MACHINE, "default", labels=f"{CLUSTER_NAME}={cluster}")
        return found.items


def is_control_plane(machine: Object) -> bool:
    return "cluster.x-k8s.io/control-plane" in labels_of(machine)


@asynccontextmanager
async def lifecycle_bed(folder: Path, tools: Tools, settings: Settings | None = None) -> AsyncIterator[LifecycleBed]:
    """Start everything; end it afterwards."""
    async with management_cluster(folder, tools) as capi:
        operator = local_operator(capi.cluster.kubeconfig, settings)
        task = asyncio.create_task(operator.run())
        bed = LifecycleBed(capi, operator)
        try:
            yield bed
        finally:
            await bed.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await operator.management.close()
