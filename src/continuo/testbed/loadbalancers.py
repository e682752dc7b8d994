"""Load balancers of a bed: every Service of type LoadBalancer gets an address on the bed's bridge.

The address is one more of its cluster's own; kube-proxy passes what arrives there on to the Service's pods.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from contextlib import suppress

from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError, Expired, NotFound, Unreachable
from continuo.resources.meta import Object
from continuo.testbed.commands import run
from continuo.testbed.definitions import MANAGER
from continuo.testbed.errors import TestbedError
from continuo.testbed.network import Leg

log = logging.getLogger(__name__)

FIRST = 100
"""Below it are the clusters' own addresses."""
_PAUSE = 1.0


class Pool:
    """Addresses of a bed's network for load balancers, shared by all of its clusters."""

    def __init__(self, subnet: ipaddress.IPv4Network) -> None:
        self._free = [str(subnet[number]) for number in range(subnet.num_addresses - 2, FIRST - 1, -1)]

    def take(self, wanted: str | None = None) -> str:
        """The wanted address where it is free, else any; raises TestbedError when there is none."""
        if wanted in self._free:
            self._free.remove(wanted)
            return wanted
        if not self._free:
            raise TestbedError("all addresses for load balancers of this testbed are in use; delete some Services")
        return self._free.pop()

    def give_back(self, address: str) -> None:
        """It may be taken again."""
        self._free.append(address)


class LoadBalancers:
    """One cluster's. `run` works until it is cancelled."""

    def __init__(self, client: KubeCluster, leg: Leg, pool: Pool, ip: str) -> None:
        self._client, self._leg, self._pool, self._ip = client, leg, pool, ip
        self._given: dict[str, str] = {}

    async def run(self) -> None:
        """Follow the cluster's Services."""
        while True:
            try:
                await self._follow()
            except (Expired, Unreachable):
                await asyncio.sleep(_PAUSE)
            except (ApiError, TestbedError) as error:
                log.warning("load balancers of cluster %s: %s", self._client.name, error)
                await asyncio.sleep(_PAUSE)

    async def _follow(self) -> None:
        listing = await self._client.list(kinds.SERVICE)
        for service in listing.items:
            await self.see(service)
        async for change in self._client.watch(kinds.SERVICE, since=listing.resource_version):
            if change.type == "DELETED":
                await self._release(change.object)
            elif change.type != "BOOKMARK":
                await self.see(change.object)

    async def see(self, service: Object) -> None:
        """Give the Service an address or take it back, as it is now."""
        if (service.get("spec") or {}).get("type") != "LoadBalancer":
            await self._release(service)
            return
        uid = service["metadata"]["uid"]
        said = [item.get("ip") for item in (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or ()]
        if uid not in self._given:
            wanted = (service.get("spec") or {}).get("loadBalancerIP") or (said[0] if said else None)
            self._given[uid] = self._pool.take(wanted)
            await self._address("replace", self._given[uid])
        if said != [self._given[uid]]:
            await self._publish(service, self._given[uid])

    async def _publish(self, service: Object, address: str) -> None:
        where = service["metadata"]
        patch = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
        with suppress(NotFound):
            await self._client.patch(
                kinds.SERVICE, where["name"], patch, where["namespace"], subresource="status", manager=MANAGER
            )

    async def _release(self, service: Object) -> None:
        address = self._given.pop(service["metadata"]["uid"], None)
        if address is not None:
            await self._address("delete", address)
            self._pool.give_back(address)

    async def _address(self, verb: str, address: str) -> None:
        await run(*self._leg.enter, self._ip, "address", verb, f"{address}/32", "dev", "eth0")
