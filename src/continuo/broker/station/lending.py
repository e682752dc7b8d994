"""Addresses that the broker lends: what is behind it has none that its consumers could write.

With Liqo's networking an address is lent by an object of the kind IP, to which Liqo gives an address of the external network
and the rules that translate it. One for each pod that is told nothing of; its owner is the pod, so it goes with it.
"""

from __future__ import annotations

from collections.abc import Callable

from continuo.federation.reflection.twin import OPAQUE
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, NotFound
from continuo.resources.meta import Key, Object, deleting, key_of
from continuo.resources.reflected import GONE_PHASES
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch

MANAGER = "continuo-lending"
LENT = "continuo.dev/lent"
"""Label of the objects that are ours."""
AGAIN = 30.0
"""Seconds until a cluster that has no such kind (any more) is asked again."""


def ip_of(pod: Object) -> Object | None:
    """The object that lends a pod's address; None while it has none, or needs none any more."""
    status = pod.get("status") or {}
    address = status.get("podIP")
    if not address or deleting(pod) or status.get("phase") in GONE_PHASES:
        return None
    namespace, name = key_of(pod)
    owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
    metadata = {"labels": {LENT: "true"}, "ownerReferences": [owner]}
    return kinds.IP.new(name, namespace, metadata=metadata, spec={"ip": address})


def _essentials(pod: Object) -> Object:
    metadata, status = pod["metadata"], pod.get("status") or {}
    kept = {
        name: metadata[name]
        for name in ("name", "namespace", "uid", "resourceVersion", "labels", "deletionTimestamp")
        if name in metadata
    }
    return {"metadata": kept, "status": {name: status[name] for name in ("phase", "podIP") if name in status}}


class Lender:
    """Lends addresses for those pods of the broker that consumers reach through it. `foreign`: whether one is not its own."""

    def __init__(self, broker: Cluster, foreign: Callable[[str], bool]) -> None:
        self._cluster, self._foreign = broker, foreign
        self._pods = Informer(broker, Watch(kinds.POD, labels=f"{OPAQUE}=true", trim=_essentials))
        self._lent = Informer(broker, Watch(kinds.IP, labels=f"{LENT}=true", optional=True))
        self._controller: Controller[Key] = Controller("lent addresses", self._reconcile, workers=8)

    async def start(self) -> None:
        """Lend from now on."""
        for informer in (self._pods, self._lent):
            informer.on_change(self._changed)
            informer.start()
        self._controller.start()

    async def stop(self) -> None:
        """Lend no more; what is lent stays."""
        await self._controller.stop()
        await self._pods.stop()
        await self._lent.stop()

    def look_at_all(self) -> None:
        """Which addresses are the broker's own may have changed."""
        for pod in self._pods.cache:
            self._controller.add(key_of(pod))

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None:
            self._controller.add(key_of(obj))

    async def _reconcile(self, key: Key) -> Result:
        if not (self._pods.synced.is_set() and self._lent.synced.is_set()):
            return Result(requeue_after=0.1)
        pod, known = self._pods.cache.get(key), self._lent.cache.get(key)
        wanted = ip_of(pod) if pod is not None else None
        if wanted is not None and not self._foreign(wanted["spec"]["ip"]):
            wanted = None
        if known is not None and (wanted is None or not _same(known, wanted)):
            await self._take_back(known)
            return DONE if wanted is None else Result(requeue_after=0.0)
        if wanted is not None and known is None:
            return await self._lend(wanted)
        return DONE

    async def _lend(self, wanted: Object) -> Result:
        if not self._lent.served:
            return Result(requeue_after=AGAIN)
        try:
            self._lent.learn(await self._cluster.create(wanted, manager=MANAGER))
        except AlreadyExists:
            return DONE  # Liqo, or the user, lends it already
        except NotFound:
            return Result(requeue_after=AGAIN)
        return DONE

    async def _take_back(self, known: Object) -> None:
        namespace, name = key_of(known)
        try:
            await self._cluster.delete(kinds.IP, name, namespace, uid=known["metadata"]["uid"])
        except NotFound:
            return


def _same(known: Object, wanted: Object) -> bool:
    owners = [owner["uid"] for owner in known["metadata"].get("ownerReferences") or ()]
    return bool(
        known["spec"]["ip"] == wanted["spec"]["ip"] and owners == [wanted["metadata"]["ownerReferences"][0]["uid"]]
    )
