"""Two whole clusters with real Liqo, the operator over them, and what the tests ask of them."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from continuo.cli.host import local_operator
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.testbed import bed as testbed
from continuo.testbed.commands import run
from continuo.testbed.errors import TestbedError
from continuo.testbed.liqo import PROGRAMS
from continuo.testbed.tools import CONTROL_PLANE, Tools
from continuo.testbed.waiting import until
from scenarios.beds import PATIENCE, Bed
from scenarios.specs import item

CLUSTERS = ("a", "b")
HOME = "demo"
"""The namespace of the application that the tests declare."""
PODS = ipaddress.ip_network("10.200.0.0/16")
"""The pods' network of every cluster of a bed."""
_LIQO_GROUPS = {
    "ipam.liqo.io": ("networks", "ips"),
    "networking.liqo.io": (
        "configurations", "connections", "firewallconfigurations", "gatewayclients", "gatewayservers", "genevetunnels",
        "internalfabrics", "internalnodes", "publickeies", "routeconfigurations", "wggatewayclients", "wggatewayservers",
    ),
    "authentication.liqo.io": ("identities", "renews", "resourceslices", "tenants"),
    "offloading.liqo.io": (
        "namespacemaps", "namespaceoffloadings", "quotas", "shadowendpointslices", "shadowpods", "virtualnodes",
    ),
}  # fmt: skip
_OTHERS = (
    kinds.NODE, kinds.NAMESPACE, kinds.SECRET, kinds.CONFIG_MAP, kinds.SERVICE, kinds.DEPLOYMENT, kinds.FOREIGN_CLUSTER,
    kinds.CLUSTER_ROLE, kinds.CLUSTER_ROLE_BINDING, kinds.ROLE_BINDING, kinds.SERVICE_ACCOUNT,
)  # fmt: skip


def missing(tools: Tools) -> list[str]:
    """The programs that these tests lack."""
    return tools.missing((*CONTROL_PLANE, "containerd", "kubelet", "coredns", "continuo-images", *PROGRAMS))


class LiqoBed(Bed):
    """The management cluster; workload clusters by their names in the testbed."""

    def __init__(self, real: testbed.Bed) -> None:
        super().__init__(kubeconfig=real.kubeconfig(testbed.MANAGEMENT))
        self.real = real

    def secret(self, cluster: str, orchestration: str, namespace: str = "default") -> str:
        return f"{cluster}-kubeconfig"

    async def want(self, name: str, *, links: bool = True, asked: Object | None = None, **places: str) -> None:
        """Adopt both clusters; `places` says where each component of the application runs (none: no application).

        `asked`: what the network between the components has to give.
        """
        clusters = [{"name": c, "provider": "existing", "kubeconfig": f"{c}-kubeconfig"} for c in CLUSTERS]
        spec: Object = {"clusters": clusters}
        if links:
            spec["links"] = [list(CLUSTERS)]
        if places:
            components = [_component(component, place) for component, place in places.items()]
            spec["apps"] = [{"name": HOME, "owner": "ann", "cluster": "a", "components": components}]
            if asked is not None:
                spec["apps"][0]["link-requirements"] = [{"name": "talk", "members": list(places), **asked}]
        await self.apply(name, spec)

    async def linked(self, name: str) -> Object:
        """The link's status, once it is connected."""
        obj = await self.until(name, lambda obj: item(obj, "links", "a/b").get("phase") == "Connected")
        return item(obj, "links", "a/b")

    async def pods(self, cluster: str, home: str = HOME) -> dict[str, Object]:
        """An application's pods in one cluster that are not on their way out, by component."""
        api = await self.workload(cluster, "")
        found = (await api.list(kinds.POD, home)).items
        live = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return {pod["metadata"]["labels"]["continuo.dev/component"]: pod for pod in live}

    async def clear(self) -> None:
        """Withdraw what a test that failed has left: it would be in the way of the next one."""
        for left in (await self.api.list(LOW_LEVEL_ORCHESTRATION)).items:
            await self.remove(left["metadata"]["name"])

    async def runs(self, cluster: str, *components: str, home: str = HOME) -> None:
        """Wait until a cluster runs pods of these components and no others; old ones leave after the new ones came."""

        async def settled() -> str | None:
            found = set(await self.pods(cluster, home))
            return None if found == set(components) else f"{cluster} runs {', '.join(sorted(found)) or 'nothing'}"

        await until(settled, f"the application's part in {cluster}", PATIENCE)

    async def curl(self, url: str, cluster: str = "a") -> Object:
        """What an HTTP server answers to the pod `sleep`, asked through one cluster's API, as soon as it answers."""
        said: list[str] = []

        async def answered() -> str | None:
            try:
                pod = (await self.pods(cluster))["sleep"]["metadata"]["name"]
                argv = self.kubectl(cluster, "exec", "-n", HOME, pod, "--", "curl", "-s", "-m", "5", url)
                said.append(await run(*argv))
            except (KeyError, TestbedError) as error:
                return str(error)
            return None

        await until(answered, f"the way from {cluster} to {url}", PATIENCE)
        answer: Object = json.loads(said[-1])
        return answer

    async def cut(self, cluster: str) -> None:
        """Take a cluster off the network that it shares with the others."""
        await self._port(cluster, "down")

    async def mend(self, cluster: str) -> None:
        """Put it back."""
        await self._port(cluster, "up")

    @asynccontextmanager
    async def shaped(self, cluster: str, rate: int) -> AsyncIterator[None]:
        """Let no more than that many bits in a second into a cluster."""
        tc, port = str(self.real.tools.need("tc")), self._outside(cluster)
        bucket = ("rate", f"{rate}bit", "burst", "32k", "latency", "200ms")
        await run(tc, "qdisc", "add", "dev", port, "root", "tbf", *bucket)
        try:
            yield
        finally:
            await run(tc, "qdisc", "del", "dev", port, "root")

    async def _port(self, cluster: str, state: str) -> None:
        await run(str(self.real.tools.need("ip")), "link", "set", self._outside(cluster), state)

    def _outside(self, cluster: str) -> str:
        """This machine's end of the wire to a cluster."""
        return f"{self.real.place.link_prefix}-{list(self.real.clusters).index(cluster)}"

    def kubectl(self, cluster: str, *argv: str) -> tuple[str, ...]:
        """A command line for one cluster."""
        file = self.real.clusters[cluster].kubeconfig_file
        return (str(self.real.tools.need("kubectl")), "--kubeconfig", str(file), *argv)

    async def inventory(self, cluster: str) -> set[str]:
        """The names of all objects that a link may leave behind."""
        api = await self.workload(cluster, "")
        listings = await asyncio.gather(*(api.list(kind) for kind in (*_OTHERS, *_liqo_kinds())))
        return {_name(kind, obj) for kind, listing in zip((*_OTHERS, *_liqo_kinds()), listings, strict=True)
                for obj in listing.items}  # fmt: skip


def _component(name: str, place: str) -> Object:
    expose = {"expose": [{"containerPort": 80, "clusterPort": 8000}]} if name == "httpbin" else {}
    return {"name": name, "image": f"localhost/{name}:1", "cluster-selector": place, **expose}


def _liqo_kinds() -> Iterable[Kind]:
    for group, plurals in _LIQO_GROUPS.items():
        version = "v1alpha1" if group == "ipam.liqo.io" else "v1beta1"
        for plural in plurals:
            yield Kind(group, version, plural, plural)


def _name(kind: Kind, obj: Object) -> str:
    return f"{kind.plural} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


@asynccontextmanager
async def liqo_bed(
    folder: Path, tools: Tools, settings: Settings | None = None, more: tuple[str, ...] = ()
) -> AsyncIterator[LiqoBed]:
    """Start everything, and `more` clusters; end it afterwards."""
    plan = testbed.Plan((*CLUSTERS, *more), containers=True, liqo=True)
    real = await testbed.Bed.start(folder, plan, tools=tools)
    try:
        operator = local_operator(real.kubeconfig(testbed.MANAGEMENT), settings)
        task: asyncio.Task[Any] = asyncio.create_task(operator.run())
        bed = LiqoBed(real)
        try:
            yield bed
        finally:
            await bed.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await operator.management.close()
    finally:
        await real.stop()
