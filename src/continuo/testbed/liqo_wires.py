"""Wires from a cluster's node to its Liqo gateways, where the kernel has no Geneve to make them of.

Liqo joins each node to each gateway by a Geneve tunnel whose two ends have names and addresses that it publishes. A pair
of virtual Ethernet devices with these names and addresses does the same on one machine; all of Liqo's own routes and
rules then work as they are. Liqo's own attempts to make the tunnel go on failing, which harms nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from continuo.kube.client import KubeCluster
from continuo.resources.errors import ApiError, Expired, Unreachable
from continuo.resources.meta import Kind, Object
from continuo.testbed.containers import ContainerNode
from continuo.testbed.errors import TestbedError

log = logging.getLogger(__name__)

INTERNAL_FABRIC = Kind("networking.liqo.io", "v1beta1", "InternalFabric", "internalfabrics")
INTERNAL_NODE = Kind("networking.liqo.io", "v1beta1", "InternalNode", "internalnodes", namespaced=False)
_PAUSE = 1.0
_POD_DEVICE = "eth0"


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire: its end at the node, and its end at a gateway."""

    gateway_pod: str
    """The address of the gateway's pod."""
    node_device: str
    node_address: str
    gateway_device: str
    gateway_address: str
    mtu: int


def wires(fabrics: Mapping[str, Object], node: Object | None) -> set[Wire]:
    """The wires of a cluster's node to all gateways, as far as Liqo has published both ends."""
    if node is None:
        return set()
    found = (_wire(fabric["spec"], node["spec"]) for fabric in fabrics.values())
    return {wire for wire in found if wire is not None}


def _wire(fabric: Object, node: Object) -> Wire | None:
    ends, there = fabric["interface"], node["interface"]
    wire = Wire(
        fabric.get("gatewayIP", ""), ends["node"].get("name", ""), there["node"].get("ip", ""),
        there["gateway"].get("name", ""), ends["gateway"].get("ip", ""), fabric.get("mtu") or 1500,
    )  # fmt: skip
    return wire if all((wire.gateway_pod, wire.node_device, wire.node_address, wire.gateway_device)) else None


class Wires:
    """One cluster's wires. `run` works until it is cancelled."""

    def __init__(self, client: KubeCluster, node: ContainerNode) -> None:
        self._client, self._node = client, node
        self._seen: dict[Kind, dict[str, Object]] = {INTERNAL_FABRIC: {}, INTERNAL_NODE: {}}
        self._changed = asyncio.Event()
        self._laid: set[Wire] = set()

    async def run(self) -> None:
        """Follow what Liqo publishes, and lay or remove wires."""
        async with asyncio.TaskGroup() as tasks:
            for kind in self._seen:
                tasks.create_task(self._follow(kind))
            while True:
                await self._changed.wait()
                self._changed.clear()
                if not await self._bring_about():
                    await asyncio.sleep(_PAUSE)
                    self._changed.set()

    async def _follow(self, kind: Kind) -> None:
        seen = self._seen[kind]
        while True:
            try:
                listing = await self._client.list(kind)
                seen.clear()
                seen.update((_key(item), item) for item in listing.items)
                self._changed.set()
                async for change in self._client.watch(kind, since=listing.resource_version):
                    if change.type == "DELETED":
                        seen.pop(_key(change.object), None)
                    elif change.type != "BOOKMARK":
                        seen[_key(change.object)] = change.object
                    self._changed.set()
            except (Expired, Unreachable):
                await asyncio.sleep(_PAUSE)
            except ApiError as error:
                log.warning("%s of cluster %s: %s", kind.plural, self._client.name, error)
                await asyncio.sleep(_PAUSE)

    async def _bring_about(self) -> bool:
        """Whether all wires are as they should be now."""
        here = self._seen[INTERNAL_NODE].get(f"/{self._node.facts.name}")  # edge nodes have no part in Liqo's network
        wanted = wires(self._seen[INTERNAL_FABRIC], here)
        for wire in self._laid - wanted:
            await self._ip("link", "delete", wire.node_device, check=False)
            self._laid.discard(wire)
        for wire in wanted - self._laid:
            try:
                if await self._lay(wire):
                    self._laid.add(wire)
            except TestbedError as error:
                log.warning("wire %s of cluster %s: %s", wire.node_device, self._client.name, error)
        return wanted == self._laid

    async def _lay(self, wire: Wire) -> bool:
        space = await self._pod_namespace(wire.gateway_pod)
        if space is None:
            return False
        await self._ip("link", "delete", wire.node_device, check=False)
        await self._ip(
            "link", "add", wire.node_device, "mtu", str(wire.mtu), "type", "veth",
            "peer", "name", wire.gateway_device, "mtu", str(wire.mtu), "netns", space,
        )  # fmt: skip
        await self._ip("address", "add", f"{wire.node_address}/32", "dev", wire.node_device)
        await self._ip("-n", space, "address", "add", f"{wire.gateway_address}/32", "dev", wire.gateway_device)
        await self._ip("-n", space, "link", "set", wire.gateway_device, "up")
        await self._ip("link", "set", wire.node_device, "up")
        return True

    async def _pod_namespace(self, address: str) -> str | None:
        """The network namespace of the pod with that address, as the node names it."""
        for name in (await self._node.command("ls", "/run/netns")).split():
            if not name.startswith("cni-"):
                continue
            said = await self._ip("-n", name, "-4", "-o", "address", "show", "dev", _POD_DEVICE, check=False)
            if f" {address}/" in said:
                return name
        return None

    async def _ip(self, *argv: str, check: bool = True) -> str:
        try:
            return await self._node.command(str(self._node.tools.need("ip")), *argv)
        except TestbedError:
            if check:
                raise
            return ""


def _key(obj: Object) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"
