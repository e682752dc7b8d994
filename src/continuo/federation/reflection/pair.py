"""Two clusters and a node between them, as the parts of one reflection share it while it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from continuo.federation.reflection.bound import Bought
from continuo.federation.reflection.hub import Hub
from continuo.federation.reflection.relays import Relays
from continuo.federation.reflection.spaces import new_namespace, taken_by
from continuo.federation.reflection.twin import MANAGER, ORIGIN, Twin
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, Conflict, NotFound
from continuo.resources.meta import Object

log = logging.getLogger(__name__)


Placement: TypeAlias = Callable[[Object], Object]
"""A copy as it is created: on a node of the remote cluster and with annotations that say why, or as it is, to be placed
by whoever schedules there. Labels are the original's and cannot be added."""


NO_WAY_OUT = {"pod-security.kubernetes.io/enforce": "baseline"}
"""Labels of a namespace whose pods are bounded: one that has the node's devices or files would be bounded by nothing."""


def _nobody(_: str) -> str | None:
    return None


def later(copy: Object) -> Object:
    """Pods are placed by whoever schedules in the remote cluster."""
    return copy


@dataclass(slots=True)
class Pair:
    """What changes while a reflection runs: what it decides by, and whether the remote cluster answers."""

    home: Hub
    remote: Hub
    twin: Twin
    answers: bool = True
    root_consumer: Callable[[str], str | None] = _nobody
    """By namespace at home: the cluster from which its pods set out."""
    relays: Relays = field(default_factory=Relays)
    place: Placement = later
    bought: Bought | None = None
    """No more than this is sent; None: whatever the remote cluster takes."""
    ours: set[str] = field(default_factory=set)
    """Namespaces of the remote cluster that are known to be there and to be nobody else's."""

    async def ensure_namespace(self, name: str) -> None:
        """See to the remote counterpart of a namespace; Conflict when it is another consumer's.

        Where nobody says whose it is that does not matter, since only what is ours is touched in it.
        """
        there = self.twin.space_there(name)
        if there in self.ours:
            return
        found = await self._space(name, there)
        if self.twin.home_id and (owner := taken_by(found, self.twin.home_id)):
            raise Conflict(
                f"namespace {there} of cluster {self.remote.name} belongs to {owner}: "
                "choose another name for it, or let the reflection put our identifier behind names"
            )
        self.ours.add(there)

    async def _space(self, name: str, there: str) -> Object:
        cluster = self.remote.cluster
        try:
            return await cluster.get(kinds.NAMESPACE, there)
        except NotFound:
            said, marks = self.twin.named(name, {}), {ORIGIN: self.twin.origin}
            if self.bought is not None:
                marks |= NO_WAY_OUT
            wanted = new_namespace(there, self.twin.home_id, self.root_consumer(name), marks, said)
        try:
            return await cluster.create(wanted, manager=MANAGER)
        except AlreadyExists:
            return await cluster.get(kinds.NAMESPACE, there)
