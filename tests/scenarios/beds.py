"""What a scenario works with: an API to declare to, a way to wait without polling, and clusters for what is declared.

Scenarios are written once, for clusters that are created. On the embedded engine they are. On real engines there is a pool of
whole clusters, and a declaration adopts one for each cluster that it would create; where real Cluster API is there, a
scenario about the clusters themselves (mark `creates`) creates them with its development provider.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from continuo.cli.host import Host
from continuo.embedded.standins import faults
from continuo.federation.names import TYPE, VIRTUAL_NODE_TYPE
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.resources import kinds
from continuo.resources.errors import Expired, NotFound, Unreachable
from continuo.resources.meta import Kind, Object, is_true, key_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

PATIENCE = float(os.environ.get("CONTINUO_PATIENCE", "60"))
"""Seconds after which something that has to happen counts as never happening: a bound on failure, not an expectation."""
REAL = os.environ.get("CONTINUO_TEST_KUBECONFIG", "")
"""The kubeconfig file of real engines: the current context is the management cluster, the others are the pool."""


class Bed:
    """On the embedded engine: of this process (`host`), or of another one (`kubeconfig`)."""

    def __init__(self, host: Host | None = None, kubeconfig: str = "") -> None:
        self._host = host
        self.transports = Transports()
        self.kubeconfig = kubeconfig or self.host.engine.kubeconfig("management")
        self.api = connect(self.kubeconfig, name="management", transports=self.transports)
        self._clients: dict[str, Any] = {}

    @property
    def host(self) -> Host:
        assert self._host is not None, "the engine is a process of its own"
        return self._host

    async def close(self) -> None:
        for client in (self.api, *self._clients.values()):
            await client.close()

    async def apply(self, name: str, spec: Object, manager: str = "test", namespace: str = "default") -> Object:
        return await self.declare(name, await self.placed(name, spec, namespace), manager, namespace)

    async def declare(self, name: str, spec: Object, manager: str = "test", namespace: str = "default") -> Object:
        """Apply a declaration to the letter; for what has to be refused."""
        return await self.api.apply(LOW_LEVEL_ORCHESTRATION.new(name, namespace, spec=spec), manager=manager)

    async def placed(self, name: str, spec: Object, namespace: str = "default") -> Object:
        """The declaration as this bed can carry it out."""
        return spec

    async def credentials(self, namespace: str = "default") -> None:
        secret = kinds.SECRET.new("openstack-cloud-config", namespace, stringData={"clouds.yaml": "clouds: {}"})
        await self.api.apply(secret, manager="test")

    async def until(self, name: str, test: Any, namespace: str = "default") -> Object:
        """The orchestration, as soon as `test(obj)` holds."""
        return await self.wait(self.api, LOW_LEVEL_ORCHESTRATION, name, namespace, test)

    async def ready(self, name: str, namespace: str = "default") -> Object:
        return await self.until(name, is_ready, namespace)

    async def remove(self, name: str, namespace: str = "default") -> None:
        """Delete an orchestration and wait until it is gone."""
        await self.api.delete(LOW_LEVEL_ORCHESTRATION, name, namespace)
        await self.gone(LOW_LEVEL_ORCHESTRATION, name, namespace)

    async def gone(self, kind: Kind, name: str, namespace: str | None, api: Any = None) -> None:
        await self.wait(api or self.api, kind, name, namespace, lambda obj: obj is None)

    async def wait(self, api: Any, kind: Kind, name: str, namespace: str | None, test: Any) -> Any:
        last: Object | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    with contextlib.suppress(Unreachable, Expired):
                        async for last in _states(api, kind, name, namespace):
                            if test(last):
                                return last
                    await asyncio.sleep(0.05)  # the server ended the watch, or is away
        except TimeoutError:
            status = (last or {}).get("status")
            raise AssertionError(f"{kind.kind} {name} never got there; last seen: {status}") from None

    def secret(self, cluster: str, orchestration: str, namespace: str = "default") -> str:
        """The Secret with a workload cluster's kubeconfig."""
        return f"{orchestration}-{cluster}-kubeconfig"

    def liqo_id(self, cluster: str, orchestration: str, namespace: str = "default") -> str:
        """What the cluster is called by its peers, and its virtual node there."""
        return f"{orchestration}-{cluster}"

    async def workload(self, cluster: str, orchestration: str, namespace: str = "default") -> Any:
        """A client for a workload cluster, from its kubeconfig Secret."""
        return await self.client(self.secret(cluster, orchestration, namespace), namespace)

    async def client(self, secret: str, namespace: str = "default") -> Any:
        """A client from a kubeconfig Secret."""
        name = f"{namespace}/{secret}"
        if name not in self._clients:
            found = await self.api.get(kinds.SECRET, secret, namespace)
            text = base64.b64decode(found["data"]["value"]).decode()
            self._clients[name] = connect(text, name=name, transports=self.transports)
        return self._clients[name]

    def engine_cluster(self, cluster: str, orchestration: str) -> Any:
        """The embedded cluster behind a declared one; None when it does not exist."""
        wanted = f"{orchestration}-{cluster}"
        return next((api for api in self.host.engine.clusters() if api.name.endswith(wanted)), None)

    async def lose(self, cluster: str, orchestration: str = "o") -> None:
        """From now on nobody reaches the cluster; the scenario carries the mark `loses`."""
        outage = faults.Faults(self.host.engine)
        outage.inject(faults.API_OUTAGE, kinds.CLUSTER, f"{orchestration}-{cluster}", "default")

    async def regain(self, cluster: str, orchestration: str = "o") -> None:
        """It is reached again, as it was left."""
        outage = faults.Faults(self.host.engine)
        outage.heal(faults.API_OUTAGE, kinds.CLUSTER, f"{orchestration}-{cluster}", "default")

    async def cordon(self, cluster: str, orchestration: str = "o", *, closed: bool = True) -> None:
        """Let none of the cluster's own nodes take pods any more, or all of them again."""
        api = await self.workload(cluster, orchestration)
        for node in (await api.list(kinds.NODE, labels=f"{TYPE}!={VIRTUAL_NODE_TYPE}")).items:
            await api.patch(kinds.NODE, node["metadata"]["name"], {"spec": {"unschedulable": closed}})

    async def is_gone(self, cluster: str, orchestration: str) -> bool:
        """Whether nothing is left of a created cluster, neither its Cluster nor an API server without a Cluster."""
        left = (await self.api.list(kinds.CLUSTER)).items
        here = ("default", f"{orchestration}-{cluster}")
        return here not in map(key_of, left) and len(self.host.engine.clusters()) == 1 + len(left)

    async def left(self, *wanted: Kind) -> dict[str, list[str]]:
        """The names of what is there of those kinds; a kind that is not served has nothing there."""
        found = {kind.kind: await self._names(kind) for kind in wanted}
        return {kind: names for kind, names in found.items() if names}

    async def _names(self, kind: Kind) -> list[str]:
        try:
            return [obj["metadata"]["name"] for obj in (await self.api.list(kind)).items]
        except NotFound:
            return []

    async def exists(self, api: Any, kind: Kind, name: str, namespace: str | None = None) -> bool:
        try:
            await api.get(kind, name, namespace)
        except NotFound:
            return False
        return True


async def _states(api: Any, kind: Kind, name: str, namespace: str | None) -> AsyncIterator[Object | None]:
    """The object as it is, and at every change; None when it is not there."""
    listing = await api.list(kind, namespace, fields=f"metadata.name={name}")
    yield listing.items[0] if listing.items else None
    stream = api.watch(kind, namespace, since=listing.resource_version, fields=f"metadata.name={name}")
    async for change in stream:
        if change.type != "BOOKMARK":
            yield None if change.type == "DELETED" else change.object


def is_ready(obj: Object | None) -> bool:
    """Ready, and about the newest declaration."""
    if obj is None:
        return False
    current = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
    return current and is_true(obj, "Ready")
