"""What the keeper of nodes writes on Providers, Consumers and Aggregates: its finalizer, and how their nodes are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from continuo.broker.station.conditions import standing
from continuo.broker.station.names import ENTERED, FINALIZER, MANAGER
from continuo.federation.reflection.node import stamp
from continuo.kube.port import Cluster
from continuo.resources.broker import AGGREGATE, CONSUMER, PROVIDER, SecretRef
from continuo.resources.errors import Conflict, NotFound
from continuo.resources.meta import Kind, Object, annotations_of, condition, deleting
from continuo.runtime.informer import Informer

KINDS: Mapping[str, Kind] = {"Provider": PROVIDER, "Consumer": CONSUMER, "Aggregate": AGGREGATE}


def is_held(obj: Object) -> bool:
    """Whether our finalizer is on the object."""
    return FINALIZER in (obj["metadata"].get("finalizers") or ())


def is_noted(obj: Object, ref: SecretRef | None) -> bool:
    """Whether all that has to be written down before anything is made is there."""
    return is_held(obj) and (ref is None or annotations_of(obj).get(ENTERED) == _spelled(ref))


def way_in(obj: Object, ref: SecretRef | None) -> SecretRef | None:
    """The Secret by which an object's cluster is entered: as it says, or as long as we hold it as it said before."""
    if ref is not None or not is_held(obj):
        return ref
    namespace, _, rest = annotations_of(obj).get(ENTERED, "").partition("/")
    name, _, key = rest.partition("/")
    return SecretRef(name=name, namespace=namespace, key=key) if namespace and name and key else None


def _spelled(ref: SecretRef) -> str:
    return f"{ref.namespace}/{ref.name}/{ref.key}"


class Papers:
    """Writes to the broker's cluster; what it answers is known at once."""

    def __init__(self, broker: Cluster, informers: Mapping[str, Informer], now: Callable[[], datetime]) -> None:
        self._broker, self._informers, self._now = broker, informers, now

    async def hold(self, kind: str, obj: Object, ref: SecretRef | None) -> bool:
        """Put our finalizer on, and note the way in; False: the object went, or is another one by now."""
        name, noted = obj["metadata"]["name"], {} if ref is None else {"annotations": {ENTERED: _spelled(ref)}}
        body = KINDS[kind].new(name, metadata={"finalizers": [FINALIZER], **noted})
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
        noted = {"annotations": {ENTERED: None}} if ENTERED in annotations_of(obj) else {}
        patch = {"metadata": {"finalizers": left, **noted, "resourceVersion": metadata["resourceVersion"]}}
        try:
            written = await self._broker.patch(KINDS[kind], metadata["name"], patch, manager=MANAGER)
        except (NotFound, Conflict):
            return
        if not deleting(obj):
            self._informers[kind].learn(written)

    async def say(self, kind: str, obj: Object, problems: list[str], waiting: list[str], ready: list[str]) -> None:
        """Write the condition Ready where it is another one; none where there is nothing to say.

        Of an Aggregate the aggregator writes it.
        """
        if kind == "Aggregate":
            return
        entries: list[Object] = []
        if problems or waiting or ready:
            entry = standing(obj, problems, waiting, ready, stamp(self._now()), leaving=deleting(obj))
            if entry is None:
                return
            entries = [entry]
        elif condition(obj, "Ready") is None or deleting(obj):
            return
        body = KINDS[kind].new(obj["metadata"]["name"], status={"conditions": entries})
        body["metadata"]["uid"] = obj["metadata"]["uid"]
        try:
            self._informers[kind].learn(await self._broker.apply(body, manager=MANAGER, subresource="status"))
        except (NotFound, Conflict):
            return
