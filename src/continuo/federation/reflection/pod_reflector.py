"""The pods of a virtual node, carried out: two informers, a queue of pods, and one write at a time for each pod."""

from __future__ import annotations

import logging
from collections.abc import Callable

from continuo.federation.reflection import pods
from continuo.federation.reflection.twin import MANAGER, Twin
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from continuo.resources.meta import Key, Object, key_of
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)

WORKERS = 16
"""Pods that are written about at the same time."""
LOOK_AGAIN = 15.0
"""Seconds after which a pod that the remote cluster refused is tried again."""


class PodReflector:
    """Sends pods, brings their status back, and ends them."""

    def __init__(self, home: Cluster, remote: Cluster, twin: Twin, *, reachable: Callable[[], bool]) -> None:
        self._home, self._remote, self._twin, self._reachable = home, remote, twin, reachable
        self.pods = Informer(home, Watch(kinds.POD, fields=f"spec.nodeName={twin.node}"))
        self.copies = Informer(remote, Watch(kinds.POD, labels=twin.selector))
        self.controller: Controller[Key] = Controller(f"pods of {twin.node}", self.reconcile, workers=WORKERS)
        self._ended: set[str] = set()
        """UIDs whose deletion the server has accepted, until they are gone: asking again would change nothing."""

    def follow(self) -> None:
        """Look at every pod and every copy, those that are known first; to be called when both ends are known."""
        for informer in (self.pods, self.copies):
            informer.on_change(self._changed)

    def look_at_all(self) -> None:
        """The remote cluster was away: anything may have happened."""
        for key in {*self.pods.cache.keys(), *self.copies.cache.keys()}:
            self.controller.add(key)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None:
            if new is None:
                self._ended.discard(obj["metadata"]["uid"])
            self.controller.add(key_of(obj))

    async def reconcile(self, key: Key) -> Result:
        """One step for one pod. While the remote cluster does not answer nothing is said about its pods."""
        if not self._reachable():
            return DONE
        step = pods.decide(self._twin, self.pods.cache.get(key), self.copies.cache.get(key))
        if isinstance(step, pods.Send):
            return await self._send(key, step.copy)
        if step is not None:
            await self._act(key, step)
        return DONE

    async def _act(self, key: Key, step: pods.Step) -> None:
        namespace, name = key
        try:
            match step:
                case pods.Tell(pod, status):
                    body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
                    self.pods.learn(
                        await self._home.patch(kinds.POD, name, body, namespace, subresource="status", manager=MANAGER)
                    )
                case pods.Relabel(_, labels):
                    body = {"metadata": {"labels": labels}}
                    self.copies.learn(await self._remote.patch(kinds.POD, name, body, namespace, manager=MANAGER))
                case pods.Recall(copy, grace):
                    await self._delete(self._remote, copy, grace)
                case pods.Finish(pod):
                    await self._delete(self._home, pod, 0)
        except NotFound:
            return  # it is gone, as the watch is about to tell

    async def _delete(self, cluster: Cluster, obj: Object, grace: int | None) -> None:
        (namespace, name), uid = key_of(obj), obj["metadata"]["uid"]
        if uid in self._ended:
            return
        self._ended.add(uid)
        try:
            await cluster.delete(kinds.POD, name, namespace, uid=uid, grace_seconds=grace)
        except ApiError:
            self._ended.discard(uid)
            raise

    async def _send(self, key: Key, copy: Object) -> Result:
        try:
            self.copies.learn(await self._remote.create(copy, manager=MANAGER))
        except AlreadyExists:
            return await self._taken(key)
        except NotFound:
            await ensure_namespace(self._remote, key[0])
            return Result(requeue_after=0.0)
        except (Conflict, Forbidden, Invalid) as error:
            return await self._refused(key, str(error))
        return DONE

    async def _taken(self, key: Key) -> Result:
        """A pod of that name is there: ours, of which the watch is about to tell, or somebody else's."""
        try:
            found = await self._remote.get(kinds.POD, key[1], key[0])
        except NotFound:
            return Result(requeue_after=0.0)
        if self._twin.owns(found):
            self.copies.learn(found)
            return DONE
        return await self._refused(
            key, f"cluster {self._remote.name} has a pod {key[0]}/{key[1]} that is not ours: rename one of them"
        )

    async def _refused(self, key: Key, why: str) -> Result:
        log.warning("pod %s/%s cannot be sent: %s", *key, why)
        pod = self.pods.cache.get(key)
        step = pods.refused(pod, why) if pod is not None else None
        if step is not None:
            await self._act(key, step)
        return Result(requeue_after=LOOK_AGAIN)


async def ensure_namespace(cluster: Cluster, name: str) -> None:
    """Create a namespace if it is not there; whose it is does not matter, since only what is ours is touched in it."""
    try:
        await cluster.get(kinds.NAMESPACE, name)
    except NotFound:
        try:
            await cluster.create(kinds.NAMESPACE.new(name), manager=MANAGER)
        except AlreadyExists:
            return
