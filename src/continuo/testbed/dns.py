"""Names in a real cluster: CoreDNS as a process on the node, behind the Service that pods are told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from continuo.resources.meta import Object
from continuo.testbed.definitions import MANAGER
from continuo.testbed.pki import Subject
from continuo.testbed.waiting import until

if TYPE_CHECKING:
    from continuo.testbed.cluster import RealCluster

SUBJECT = Subject("system:coredns")
READY_SECONDS = 60.0
_PORT = 53


async def install(cluster: RealCluster, service: str, address: str) -> None:
    """Create the DNS Service at that address, its only endpoint, and what CoreDNS may read."""
    client = cluster.client()
    try:
        for obj in objects(service, address):
            await client.apply(obj, manager=MANAGER)
    finally:
        await client.close()


def objects(service: str, address: str) -> list[Object]:
    """What the cluster must hold. The Service has no selector: no pod answers, but a process of the node."""
    ports = [{"name": f"dns-{kind.lower()}", "port": _PORT, "protocol": kind} for kind in ("UDP", "TCP")]
    reads = [
        {
            "apiGroups": [""],
            "resources": ["services", "pods", "namespaces", "nodes"],
            "verbs": ["list", "watch", "get"],
        },
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    rights = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SUBJECT.name}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": SUBJECT.name}
    placed = {"namespace": "kube-system"}
    of = {"labels": {"kubernetes.io/service-name": "kube-dns"}}
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": SUBJECT.name}, "rules": reads,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": SUBJECT.name}, "roleRef": rights, "subjects": [user],
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", **placed},
            "spec": {"clusterIP": service, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "kube-dns-node", **placed, **of}, "addressType": "IPv4", "ports": ports,
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
    ]  # fmt: skip


async def answers(address: str) -> None:
    """Return when somebody listens at the DNS port of that address."""

    async def listening() -> str | None:
        try:
            _, writer = await asyncio.open_connection(address, _PORT)
        except OSError as error:
            return str(error.strerror or error)
        writer.close()
        return None

    await until(listening, f"DNS at {address}", READY_SECONDS)
