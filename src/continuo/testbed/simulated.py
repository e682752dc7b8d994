"""Nodes that only exist in the API: kwok renews their leases and brings their pods to Ready."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, Expired, Unreachable
from continuo.resources.meta import Object
from continuo.testbed import flags
from continuo.testbed.errors import NotReady

if TYPE_CHECKING:
    from continuo.kube.client import KubeCluster
    from continuo.testbed.cluster import RealCluster

READY_SECONDS = 60.0
STAGES = Path(__file__).with_name("stages.yaml")
APART = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
"""The taint of simulated nodes beside a real one: whoever needs a real process must not end there."""


def node(name: str, *, apart: bool = False) -> Object:
    """A node that kwok is to play; as large as a small server."""
    size = {"cpu": "16", "memory": "64Gi", "pods": "250", "ephemeral-storage": "200Gi"}
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "type": "kwok",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": [APART]} if apart else {},
        "status": {"capacity": size, "allocatable": size, "nodeInfo": {"kubeletVersion": "kwok"}},
    }


async def simulate_nodes(cluster: RealCluster, count: int, *, apart: bool = False) -> None:
    """Create the cluster's nodes, run kwok for them, and wait until they are Ready.

    `apart` is for a cluster that has real nodes, too: other names, and the taint `APART`.
    """
    kind = "simulated" if apart else "node"
    names = {f"{cluster.name}-{kind}-{number}" for number in range(1, count + 1)}
    argv = flags.kwok(cluster.tools.need("kwok"), cluster.kubeconfig_file, STAGES)
    client = cluster.client()

    async def ready() -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await nodes_ready(client, names)
        except TimeoutError as error:
            raise NotReady(f"the nodes of cluster {cluster.name} are not Ready after {READY_SECONDS:g} s") from error

    try:
        for name in sorted(names):
            await _create(client, node(name, apart=apart))
        await cluster.run("kwok", argv, ready=ready)
    finally:
        await client.close()


async def _create(client: KubeCluster, obj: Object) -> None:
    try:
        await client.create(obj)
    except AlreadyExists:
        return  # of an earlier run on the same data


async def nodes_ready(client: KubeCluster, names: set[str], since: datetime | None = None) -> None:
    """Return when all these nodes are Ready, and have said so after `since`: state that was kept may say it, too."""
    while True:
        listing = await client.list(kinds.NODE)
        waiting = names - {item["metadata"]["name"] for item in listing.items if is_ready(item, since)}
        if not waiting:
            return
        try:
            async for change in client.watch(kinds.NODE, since=listing.resource_version):
                name = change.object["metadata"].get("name", "")
                waiting = waiting - {name} if is_ready(change.object, since) else waiting | ({name} & names)
                if not waiting:
                    return
        except (Expired, Unreachable):
            continue  # list again


async def node_ready(cluster: RealCluster, name: str, since: datetime, timeout: float) -> None:
    """Return when a node is Ready, and has said so after `since`; raises NotReady when the time is over."""
    client = cluster.client()
    try:
        async with asyncio.timeout(timeout):
            await nodes_ready(client, {name}, since.replace(microsecond=0))
    except TimeoutError as error:
        raise NotReady(f"node {name} is not Ready after {timeout:g} s") from error
    finally:
        await client.close()


def is_ready(obj: Object, since: datetime | None = None) -> bool:
    """Whether a node or a pod says that it is Ready, and a node has said so after `since`."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(
        item["type"] == "Ready" and item["status"] == "True" and (since is None or _heard(item) >= since)
        for item in conditions
    )


def _heard(condition: Object) -> datetime:
    return datetime.fromisoformat(condition["lastHeartbeatTime"].replace("Z", "+00:00"))
