"""Real Liqo in the real clusters of a bed: its own chart, and its own programs as pods.

Nobody who looks at such a cluster sees anything but an ordinary installation. What a cloud would give it comes from us:
addresses for its load balancers, and, where the kernel lacks Geneve, the wires between node and gateways.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.meta import Kind, Object
from continuo.testbed import liqo_images
from continuo.testbed.cluster import RealCluster
from continuo.testbed.commands import run
from continuo.testbed.containers import ContainerNode
from continuo.testbed.edgefiles import ROLE
from continuo.testbed.liqo_chart import NAMESPACE, RENDERER, apply_chart, render
from continuo.testbed.liqo_quick import hurry
from continuo.testbed.liqo_wires import Wires
from continuo.testbed.loadbalancers import LoadBalancers, Pool
from continuo.testbed.network import Leg
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import until

READY_SECONDS = 180.0
_NOT_AT_THE_EDGE = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": ROLE, "operator": "DoesNotExist"}]}]
        }
    }
}
"""Edge nodes are outside of their cluster's pod network, so Liqo has nothing to join there."""
PROGRAMS = (RENDERER, *liqo_images.NEEDED)
_WEBHOOKS = Kind(
    "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations",
    namespaced=False,
)  # fmt: skip


def values(cluster_id: str, api: str, pods: str, services: str) -> Object:
    """The chart's values: those that Continuo's package gives too, and what this machine needs."""
    return {
        "tag": liqo_images.TAG,
        "discovery": {"config": {"clusterID": cluster_id}},
        "ipam": {"podCIDRs": [pods], "serviceCIDR": services},
        "metrics": {"enabled": True},
        "apiServer": {"address": api},
        # No kernel module is asked for; nobody is told over the internet; remote metrics need an image we do not make.
        "networking": {
            "gatewayTemplates": {"wireguard": {"implementation": "userspace"}},
            "fabric": {"affinity": _NOT_AT_THE_EDGE},
        },
        "telemetry": {"enabled": False},
        "metricAgent": {"enabled": False},
    }


@dataclass(slots=True)
class Liqo:
    """A cluster's Liqo. Make it with `install`; `stop` ends what is beside the cluster, not Liqo itself."""

    cluster: RealCluster
    client: KubeCluster
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def install(
        cls, cluster: RealCluster, node: ContainerNode, leg: Leg, pool: Pool, *, cluster_id: str | None = None,
        more: Mapping[str, object] | None = None,
    ) -> Liqo:  # fmt: skip
        """Install Liqo under that identifier (the cluster's name if absent) and return when it is ready to be linked."""
        at = cluster.addresses
        wanted = {**values(cluster_id or cluster.name, at.url, at.pods, at.services), **(more or {})}
        objects = await render(cluster.tools, wanted)
        hurry(objects, cluster.credentials.authority, NAMESPACE)
        liqo = cls(cluster, cluster.client())
        try:
            await apply_chart(liqo.client, objects)
            await liqo._attend(node, leg, pool)
            await until(liqo.missing, f"Liqo in cluster {cluster.name}", READY_SECONDS)
        except BaseException:
            await liqo.stop()
            raise
        return liqo

    async def missing(self) -> str | None:
        """What Liqo still lacks before a link can be made, in words; None when it lacks nothing."""
        deployments = (await self.client.list(kinds.DEPLOYMENT, NAMESPACE)).items
        behind = sorted(item["metadata"]["name"] for item in deployments if not _available(item))
        if behind:
            return f"{', '.join(behind)} not available"
        networks = (await self.client.list(kinds.NETWORK, NAMESPACE)).items
        if not networks or any(not (item.get("status") or {}).get("cidr") for item in networks):
            return "its networks have no addresses"
        try:
            await self.client.get(kinds.SECRET, "authentication-keys", NAMESPACE)
            hooks = (await self.client.get(_WEBHOOKS, "liqo-webhook"))["webhooks"]
        except NotFound as error:
            return str(error)
        return (
            None if all(hook["clientConfig"].get("caBundle") for hook in hooks) else "its webhooks have no certificate"
        )

    async def stop(self) -> None:
        """No longer give addresses and wires."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.client.close()

    async def _attend(self, node: ContainerNode, leg: Leg, pool: Pool) -> None:
        name, ip = self.cluster.name, str(node.tools.need("ip"))
        works = [(f"load balancers of {name}", LoadBalancers(self.client, leg, pool, ip).run())]
        if not await has_geneve(leg, ip):
            works.append((f"wires of {name}", Wires(self.client, node).run()))
        self._tasks = [asyncio.create_task(work, name=title) for title, work in works]


async def has_geneve(leg: Leg, ip: str) -> bool:
    """Whether this kernel can make the tunnels that Liqo joins nodes and gateways by."""
    probe = "continuo-probe"
    said = await run(
        *leg.enter, ip, "link", "add", probe, "type", "geneve", "id", "1", "remote", "192.0.2.1", check=False
    )
    await run(*leg.enter, ip, "link", "delete", probe, check=False)
    return not said


def _available(deployment: Object) -> bool:
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Available" and item["status"] == "True" for item in conditions)


def missing_programs(tools: Tools) -> list[str]:
    """The programs that real Liqo lacks here."""
    return tools.missing(PROGRAMS)
