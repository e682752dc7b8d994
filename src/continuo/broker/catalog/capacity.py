"""Offers that follow a cluster: what its nodes can run, or have left of that, watched, becomes the resources of a plan.

All is listed once and watched from there; many changes at once are one publication. Quantities are added exactly.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from fractions import Fraction
from typing import Any, TypeAlias

from continuo.broker.catalog.left import SOLD, Tally
from continuo.federation import names
from continuo.federation.quantities import canonical, quantity
from continuo.kube.port import Cluster
from continuo.resources.kinds import NODE, POD, RESOURCE_QUOTA
from continuo.resources.meta import Object, is_true, labels_of
from continuo.runtime.backoff import Backoff
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)

Publish: TypeAlias = Callable[[dict[str, str]], Awaitable[None]]


def resources_of(nodes: Iterable[Object]) -> dict[str, str]:
    """What the cluster's own ready nodes can run together, every resource; virtual and cordoned ones do not count."""
    total = _sums(node for node in nodes if _counts(node))
    return {resource: _spelled(resource, amount) for resource, amount in sorted(total.items()) if amount > 0}


def left_of(nodes: Iterable[Object], tally: Tally) -> dict[str, str]:
    """What is left of that. What is used up is told as nothing."""
    own = [node for node in nodes if _counts(node)]
    taken = tally.taken({node["metadata"]["name"] for node in own})
    left = {name: max(Fraction(0), has - Fraction(taken.get(name, 0), 1000)) for name, has in _sums(own).items()}
    return {resource: _spelled(resource, amount) for resource, amount in sorted(left.items())}


def _counts(node: Object) -> bool:
    virtual = labels_of(node).get(names.TYPE) == names.VIRTUAL_NODE_TYPE
    return not virtual and is_true(node, "Ready") and not (node.get("spec") or {}).get("unschedulable")


def _sums(nodes: Iterable[Object]) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for node in nodes:
        for resource, amount in ((node.get("status") or {}).get("allocatable") or {}).items():
            total[resource] = total.get(resource, Fraction(0)) + quantity(amount)
    return total


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


class NotTaken(Exception):
    """The catalog could not take an offer just now, and may later; `str()` is a sentence."""


class CapacityReader:
    """Follows one cluster's nodes, and publishes whenever their sum changes; with `left` what is left of it.

    `publish` raises NotTaken for what is worth trying again; whatever else it raises ends the following. What a cluster
    no longer has at all is published as nothing. A cluster that does not answer keeps its last offer.
    """

    def __init__(
        self,
        cluster: Cluster,
        publish: Publish,
        *,
        left: bool = False,
        quiet: float = 1.0,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._publish, self._quiet, self._pause = publish, quiet, pause
        self._backoff, self._random = backoff or Backoff(base=1.0), rng or random.Random()
        self._told: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._nodes = Informer(cluster, Watch(NODE))
        self._followed = [self._nodes]
        self._tally = Tally() if left else None
        if self._tally is not None:
            pods, sold = Informer(cluster, Watch(POD)), Informer(cluster, Watch(RESOURCE_QUOTA, labels=SOLD))
            pods.on_change(self._tally.see_pod)
            sold.on_change(self._tally.see_quota)
            self._followed += [pods, sold]
        for informer in self._followed:
            informer.on_change(lambda *_: self._changed.set())

    async def run(self) -> None:
        """Follow until cancelled, or until the offer is refused for good."""
        for informer in self._followed:
            informer.start()
        failures, wait = 0, self._quiet
        try:
            await asyncio.gather(*(informer.synced.wait() for informer in self._followed))
            while True:
                await self._changed.wait()
                await self._pause(wait)  # more changes may come together
                self._changed.clear()
                failures = await self._tell(failures)
                wait = self._backoff.delay(failures, self._random) if failures else self._quiet
        finally:
            await asyncio.gather(*(informer.stop() for informer in self._followed))

    async def _tell(self, failures: int) -> int:
        """Publish what differs; how often in a row that has failed."""
        nodes = self._nodes.cache
        has = resources_of(nodes) if self._tally is None else left_of(nodes, self._tally)
        resources = dict.fromkeys(self._told, "0") | has
        if resources == self._told:
            return 0
        try:
            await self._publish(resources)
        except NotTaken as error:
            log.warning("the capacity of %s is not published yet: %s", self._nodes.cluster.name, error)
            self._changed.set()
            return failures + 1
        self._told = resources
        return 0
