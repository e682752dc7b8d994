"""Offers that follow a cluster: what its nodes can run, watched, becomes the resources of a plan.

The nodes are listed once and watched from there; many changes at once are one publication. Quantities are added exactly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from fractions import Fraction
from typing import Any, TypeAlias

from continuo.federation import names
from continuo.federation.quantities import canonical, quantity
from continuo.kube.port import Cluster
from continuo.resources.errors import ApiError, Expired
from continuo.resources.kinds import NODE
from continuo.resources.meta import Object, is_true, labels_of

log = logging.getLogger(__name__)

Publish: TypeAlias = Callable[[dict[str, str]], Awaitable[None]]


def resources_of(nodes: Iterable[Object]) -> dict[str, str]:
    """What the cluster's own ready nodes can run together, every resource; virtual and cordoned ones do not count."""
    total: dict[str, Fraction] = {}
    for node in nodes:
        virtual = labels_of(node).get(names.TYPE) == names.VIRTUAL_NODE_TYPE
        if virtual or not is_true(node, "Ready") or (node.get("spec") or {}).get("unschedulable"):
            continue
        for resource, amount in ((node.get("status") or {}).get("allocatable") or {}).items():
            total[resource] = total.get(resource, Fraction(0)) + quantity(amount)
    return {resource: _spelled(resource, amount) for resource, amount in sorted(total.items()) if amount > 0}


def _spelled(resource: str, amount: Fraction) -> str:
    """Kubernetes' spelling where it is exact, else the plain number."""
    text = canonical("memory" if "storage" in resource or "hugepages" in resource else resource, amount)
    if quantity(text) == amount:
        return text
    return f"{amount.numerator}" if amount.denominator == 1 else f"{int(amount * 10**9)}n"


def offer_of(template: dict[str, Any], plan: str, resources: dict[str, str]) -> dict[str, Any]:
    """The template with the resources of one of its plans replaced."""
    plans = dict(template["plans"])
    plans[plan] = {**plans[plan], "resources": resources}
    return {**template, "plans": plans}


class CapacityReader:
    """Follows one cluster's nodes, and publishes whenever their sum changes."""

    def __init__(
        self,
        cluster: Cluster,
        publish: Publish,
        *,
        quiet: float = 1.0,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cluster, self._publish, self._quiet, self._pause = cluster, publish, quiet, pause
        self._nodes: dict[str, Object] = {}
        self._told: dict[str, str] | None = None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled. A cluster that does not answer keeps its last offer."""
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                await self._changed.wait()
                await self._pause(self._quiet)  # more changes may come together
                self._changed.clear()
                await self._tell()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _tell(self) -> None:
        resources = resources_of(self._nodes.values())
        if resources == self._told or not resources:
            return
        try:
            await self._publish(resources)
            self._told = resources
        except Exception as error:
            log.warning("the capacity of %s could not be published, it is tried again: %s", self._cluster.name, error)
            self._changed.set()

    async def _watch(self) -> None:
        while True:
            try:
                listing = await self._cluster.list(NODE)
                self._nodes = {node["metadata"]["name"]: node for node in listing.items}
                self._changed.set()
                await self._follow(listing.resource_version)
            except Expired:
                continue
            except ApiError as error:
                log.warning("the nodes of %s cannot be followed, it is tried again: %s", self._cluster.name, error)
                await self._pause(5.0)

    async def _follow(self, since: str) -> None:
        while True:
            async for change in self._cluster.watch(NODE, since=since):
                since = change.object["metadata"]["resourceVersion"]
                name = change.object["metadata"].get("name", "")
                if change.type == "DELETED":
                    self._nodes.pop(name, None)
                elif change.type != "BOOKMARK":
                    self._nodes[name] = change.object
                if change.type != "BOOKMARK":
                    self._changed.set()
