"""Addresses that the broker lends: what is behind it has none that its consumers could write.

With Liqo's networking an address is lent by an object of the kind IP, to which Liqo gives an address of the external network
and the rules that translate it. One for each pod that is reached through the broker, which owns it: so they go together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

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


class Lender:
    """Lends addresses for those pods of the broker's cluster that are reached `through` it; `foreign`: not its own ones."""

    def __init__(
        self, broker: Cluster, foreign: Callable[[str], bool], through: Callable[[Object], bool], pods: Informer
    ) -> None:
        self._cluster, self._foreign, self._through, self._pods = broker, foreign, through, pods
        self._lent = Informer(broker, Watch(kinds.IP, labels=f"{LENT}=true", optional=True))
        self._controller: Controller[Key] = Controller("lent addresses", self._reconcile, workers=8)

    async def start(self) -> None:
        """Lend from now on."""
        for informer in (self._pods, self._lent):
            informer.start()
        await asyncio.gather(self._pods.synced.wait(), self._lent.synced.wait())
        self._pods.on_change(self._pod_changed)
        self._lent.on_change(self._changed)
        self._controller.start()

    async def stop(self) -> None:
        """Lend no more; what is lent stays."""
        await self._controller.stop()
        await self._pods.stop()
        await self._lent.stop()

    def look_at_all(self) -> None:
        """Which addresses are the broker's own may have changed."""
        for pod in self._pods.cache:
            self._pod_changed(None, pod)

    def look_at(self, pod: Key) -> None:
        """Whether a pod is reached through the broker has changed, though the pod has not."""
        self._controller.add(pod)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """Most pods are nothing to us."""
        obj = new if new is not None else old
        if obj is not None and (self._through(obj) or key_of(obj) in self._lent.cache):
            self._controller.add(key_of(obj))

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None:
            self._controller.add(key_of(obj))

    async def _reconcile(self, key: Key) -> Result:
        pod, known = self._pods.cache.get(key), self._lent.cache.get(key)
        wanted = ip_of(pod) if pod is not None and self._through(pod) else None
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
