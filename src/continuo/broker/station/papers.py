"""What the keeper of nodes writes on Providers, Consumers and Aggregates: its finalizer, and how their nodes are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from continuo.broker.station.conditions import standing
from continuo.broker.station.names import FINALIZER, MANAGER
from continuo.federation.reflection.node import stamp
from continuo.kube.port import Cluster
from continuo.resources.broker import AGGREGATE, CONSUMER, PROVIDER
from continuo.resources.errors import Conflict, NotFound
from continuo.resources.meta import Kind, Object, deleting
from continuo.runtime.informer import Informer

KINDS: Mapping[str, Kind] = {"Provider": PROVIDER, "Consumer": CONSUMER, "Aggregate": AGGREGATE}


def is_held(obj: Object) -> bool:
    """Whether our finalizer is on the object."""
    return FINALIZER in (obj["metadata"].get("finalizers") or ())


class Papers:
    """Writes to the broker's cluster; what it answers is known at once."""

    def __init__(self, broker: Cluster, informers: Mapping[str, Informer], now: Callable[[], datetime]) -> None:
        self._broker, self._informers, self._now = broker, informers, now

    async def hold(self, kind: str, obj: Object) -> bool:
        """Put our finalizer on; False: the object went, or is another one by now."""
        name = obj["metadata"]["name"]
        body = KINDS[kind].new(name, metadata={"finalizers": [FINALIZER]})
        body["metadata"]["uid"] = obj["metadata"]["uid"]
        try:
            self._informers[kind].learn(await self._broker.apply(body, manager=f"{MANAGER}-finalizer"))
        except (NotFound, Conflict):
            return False
        return True

    async def release(self, kind: str, obj: Object) -> None:
        """Take our finalizer off. If somebody wrote meanwhile, the watch brings the object back."""
        if not is_held(obj):
            return
        metadata = obj["metadata"]
        left = [entry for entry in metadata["finalizers"] if entry != FINALIZER]
        patch = {"metadata": {"finalizers": left, "resourceVersion": metadata["resourceVersion"]}}
        try:
            written = await self._broker.patch(KINDS[kind], metadata["name"], patch, manager=MANAGER)
        except (NotFound, Conflict):
            return
        if not deleting(obj):
            self._informers[kind].learn(written)

    async def say(self, kind: str, obj: Object, problems: list[str], waiting: list[str], ready: list[str]) -> None:
        """Write the condition Ready where it is another one. Of an Aggregate the aggregator writes it."""
        if kind == "Aggregate" or not (problems or waiting or ready):
            return
        entry = standing(obj, problems, waiting, ready, stamp(self._now()), leaving=deleting(obj))
        if entry is None:
            return
        body = KINDS[kind].new(obj["metadata"]["name"], status={"conditions": [entry]})
        body["metadata"]["uid"] = obj["metadata"]["uid"]
        try:
            self._informers[kind].learn(await self._broker.apply(body, manager=MANAGER, subresource="status"))
        except (NotFound, Conflict):
            return
