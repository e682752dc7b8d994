"""The pods of a virtual node, carried out: two shares, a queue of pods, and one write at a time for each pod."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from typing import TypeVar

from continuo.federation.reflection import pods
from continuo.federation.reflection.bound import Tally, with_requests
from continuo.federation.reflection.decisions import Decisions
from continuo.federation.reflection.pair import Pair
from continuo.federation.reflection.records import Records
from continuo.federation.reflection.twin import MANAGER
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from continuo.resources.meta import Key, Object, annotations_of, deleting, key_of
from continuo.runtime.controller import DONE, Controller, Result

log = logging.getLogger(__name__)

WORKERS = 16
"""Pods that are written about at the same time."""
BEYOND = "ContractExhausted"
"""The reason of a pod for which nothing is left of what was bought."""
LOOK_AGAIN = 15.0
"""Seconds after which a pod that the remote cluster refused is tried again."""


K = TypeVar("K", bound=Hashable)


def note_stray(strays: dict[K, set[Key]], key: K, copy: Object, *, there: bool) -> None:
    """Remember a copy that is not where it belongs, until it is gone."""
    if there:
        strays.setdefault(key, set()).add(key_of(copy))
        return
    left = strays.get(key, set())
    left.discard(key_of(copy))
    if not left:
        strays.pop(key, None)


class PodReflector:
    """Sends pods, brings their status back, and ends them. Keys are those at home."""

    def __init__(self, pair: Pair) -> None:
        self._pair, self._home, self._remote = pair, pair.home.cluster, pair.remote.cluster
        self.pods = pair.home.pods_on(pair.twin.node)
        self.copies = pair.remote.copies(kinds.POD, pair.twin)
        self.controller: Controller[Key] = Controller(f"pods of {pair.twin.node}", self.reconcile, workers=WORKERS)
        self.records = Records(f"records of {pair.twin.node}", pair.relays.calm, self._record)
        self._decisions = Decisions()
        self._strays: dict[Key, set[Key]] = {}
        """By pod: copies of it that are not where they belong, since what its cluster is called has changed."""
        self._ended: set[str] = set()
        """UIDs whose deletion the server has accepted, until they are gone: asking again would change nothing."""
        self._sent: dict[Key, Object] = {}
        """Copies that are being created, by their keys: of one that comes as it was sent nothing more follows."""
        self._tally = Tally(pair.bought, self.controller.add) if pair.bought is not None else None

    def start(self) -> None:
        """Look at every pod and every copy, those that are known first; to be called when both ends are known."""
        twin = self._pair.twin
        self._pair.relays.enter(twin.origin, twin.node, self._pair.home.name, self)
        self.controller.start()
        self.records.start()
        if self._tally is not None:
            self.copies.follow(self._tally.see)  # before any pod is looked at
        self.pods.follow(self._changed)
        self.copies.follow(self._copy_changed)

    def look_at_all(self) -> None:
        """Anything may have happened: the remote cluster was away, or what is decided by has changed."""
        for pod in self.pods.all():
            self.controller.add(key_of(pod))
        for copy in self.copies.all():
            self.controller.add(self._pair.twin.key_here(copy))

    async def close(self) -> None:
        """Follow no more."""
        twin = self._pair.twin
        self._pair.relays.leave(twin.origin, twin.node, self._pair.home.name)
        await asyncio.gather(self.controller.stop(), self.records.stop())
        await self.pods.close()
        await self.copies.close()

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None:
            if new is None:
                self._ended.discard(obj["metadata"]["uid"])
                if self._tally is not None:
                    self._tally.forget(key_of(obj))
            self.controller.add(key_of(obj))

    def _copy_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None:
            if new is None:
                self._ended.discard(obj["metadata"]["uid"])
            key, there = self._pair.twin.key_here(obj), key_of(obj)
            if self._pair.twin.key_there(key) != there:
                note_stray(self._strays, key, obj, there=new is not None)
            stray = key in self._strays
            if new is not None and not stray and self._follows_nothing(there, old, new):
                return
            pod = self.pods.get(key)
            before = self._pair.relays.before(pod) if pod is not None else None
            self._look_at(key, recorded=before is not None and not stray)
            fresh = old is None and new is not None and pods.only_scheduled(new.get("status") or {})
            if pod is not None and before is not None and not fresh:
                before.copy_moved(pod)

    def _follows_nothing(self, there: Key, old: Object | None, new: Object) -> bool:
        """Whether a copy only came as it was sent, or was given a node."""
        if old is not None:
            return pods.only_taken(old, new)
        sent = self._sent.get(there)
        return sent is not None and pods.as_sent(sent, new)

    def _look_at(self, key: Key, *, recorded: bool) -> None:
        """A copy has changed. What its origin is told anyhow is only to be written down, which needs no step."""
        if recorded and self._tally is None and self._pair.answers and isinstance(self._decide(key), pods.Tell):
            self.records.add(key)
        else:
            self.controller.add(key, urgent=True)  # what is under way is finished before more is begun

    # --- as others in the process see us ------------------------------------------------------------------------------
    def preview(self, pod: Object) -> Object:
        """A pod of the node as it will be when what is known of it has been written."""
        twin = self._pair.twin
        copy = self._copy(twin.key_there(key_of(pod))) if self._pair.answers else None
        return pod if copy is None else self._decisions.of(twin, key_of(pod), pod, copy).told

    def copy_moved(self, copy: Object) -> None:
        """What is known of a copy has changed before its cluster says so."""
        key = self._pair.twin.key_here(copy)
        self.controller.add(key, urgent=True)
        self._pass_on(key)

    def _pass_on(self, key: Key) -> None:
        pod = self.pods.get(key)
        before = self._pair.relays.before(pod) if pod is not None else None
        if pod is not None and before is not None:
            before.copy_moved(pod)

    def _copy(self, key: Key) -> Object | None:
        """A copy, as its own cluster is about to say that it is."""
        copy = self.copies.get(key)
        onward = self._pair.relays.onward(self._pair.remote.name, copy) if copy is not None else None
        return onward.preview(copy) if copy is not None and onward is not None else copy

    # --- the work -----------------------------------------------------------------------------------------------------
    async def reconcile(self, key: Key) -> Result:
        """One step for one pod. While the remote cluster does not answer nothing is said about its pods."""
        if self._tally is None:
            return await self._step(key)
        try:
            return await self._step(key)
        finally:
            self._tally.settle(key)

    async def _step(self, key: Key) -> Result:
        if not self._pair.answers:
            return DONE
        if key in self._strays:
            await self._recall_strays(key)
            return DONE  # nothing more is sent before they are gone
        step = self._decide(key)
        if isinstance(step, pods.Send):
            with self._pair.relays.calm:
                return await self._send(key, step.copy)
        if self._tally is not None:
            await self._account(self._tally, key)
        if isinstance(step, pods.Tell) and self._pair.relays.before(step.pod) is not None:
            self.records.add(key)
        elif step is not None:
            with self._pair.relays.calm:
                await self._act(step)
        return DONE

    async def _record(self, key: Key) -> None:
        """Tell of a pod that came from a cluster which knows already."""
        step = self._decide(key) if self._pair.answers else None
        if isinstance(step, pods.Tell):
            await self._act(step)

    def _decide(self, key: Key) -> pods.Step | None:
        twin = self._pair.twin
        return self._decisions.of(twin, key, self.pods.get(key), self._copy(twin.key_there(key))).step

    async def _act(self, step: pods.Step) -> None:
        try:
            match step:
                case pods.Tell():
                    await self._tell(step)
                case pods.Relabel(copy, labels):
                    namespace, name = key_of(copy)
                    body = {"metadata": {"uid": copy["metadata"]["uid"], "labels": labels}}
                    self.copies.learn(await self._remote.patch(kinds.POD, name, body, namespace, manager=MANAGER))
                case pods.Recall(copy, grace):
                    await self._delete(copy, grace, at_home=False)
                case pods.Finish(pod):
                    await self._delete(pod, 0, at_home=True)
        except NotFound:
            return  # it is gone, as the watch is about to tell

    async def _recall_strays(self, key: Key) -> None:
        for there in list(self._strays[key]):
            copy = self.copies.get(there)
            if copy is not None and not deleting(copy):
                await self._act(pods.Recall(copy))

    async def _tell(self, step: pods.Tell) -> None:
        """Status and annotations in one write, as an API server takes it from kubelets; if it does not, in two."""
        namespace, name = key_of(step.pod)
        metadata: Object = {"uid": step.pod["metadata"]["uid"]}
        if step.annotations:
            metadata["annotations"] = step.annotations
        body = {"metadata": metadata, "status": step.status}
        told = await self._home.patch(kinds.POD, name, body, namespace, subresource="status", manager=MANAGER)
        if not step.annotations.items() <= annotations_of(told).items():
            told = await self._home.patch(kinds.POD, name, {"metadata": metadata}, namespace, manager=MANAGER)
        self.pods.learn(told)

    async def _delete(self, obj: Object, grace: int | None, *, at_home: bool) -> None:
        (namespace, name), uid = key_of(obj), obj["metadata"]["uid"]
        if uid in self._ended:
            return
        self._ended.add(uid)
        cluster = self._home if at_home else self._remote
        try:
            await cluster.delete(kinds.POD, name, namespace, uid=uid, grace_seconds=grace)
        except ApiError:
            self._ended.discard(uid)
            raise

    async def _send(self, key: Key, copy: Object) -> Result:
        asked_before = self._tally is not None and self._tally.doubtful(key_of(copy))
        try:
            await self._pair.ensure_namespace(key[0])
            copy = self._bounded(copy)
            if self._tally is not None and (why := self._tally.hold(key_of(copy), copy["spec"], key)) is not None:
                return await self._beyond(key, why)
            copy = self._pair.place(copy)
            await self._create(copy)
        except AlreadyExists:
            return await self._taken(key, key_of(copy))
        except ApiError as error:
            if asked_before and self._tally is not None:
                await self._account(self._tally, key)
            elif self._tally is not None and error.code < 500:  # else it may be there, and nobody has heard of it
                self._give_back(self._tally, key_of(copy))
            return await self._not_created(key, key_of(copy), error)
        return DONE

    async def _create(self, copy: Object) -> None:
        there = key_of(copy)
        self._sent[there] = copy
        try:
            self.copies.learn(await self._remote.create(copy, manager=MANAGER))
        finally:
            del self._sent[there]

    async def _not_created(self, key: Key, there: Key, error: ApiError) -> Result:
        """What may help: the namespace once more, somebody's decision, or only to ask again."""
        if isinstance(error, NotFound):
            self._pair.ours.discard(there[0])
            return Result(requeue_after=0.0)
        if isinstance(error, Conflict | Forbidden | Invalid):
            return await self._refused(key, str(error))
        raise error

    # --- what was bought ----------------------------------------------------------------------------------------------
    def _bounded(self, copy: Object) -> Object:
        bought = self._pair.bought
        return copy if bought is None else {**copy, "spec": with_requests(copy["spec"], bought.amounts)}

    @staticmethod
    def _give_back(tally: Tally, there: Key) -> None:
        """The remote cluster has refused a copy, so it takes no room."""
        if tally.doubtful(there):
            tally.release(there)

    async def _beyond(self, key: Key, why: str) -> Result:
        """Say that nothing is left for a pod. It is called when there is, so nobody asks again and again."""
        log.info("pod %s/%s waits: %s", *key, why)
        pod = self.pods.get(key)
        step = pods.refused(pod, why, BEYOND) if pod is not None else None
        if step is not None:
            await self._act(step)
        return DONE

    async def _account(self, tally: Tally, key: Key) -> None:
        """A copy was asked for, nothing was heard of it, and it is not wanted any more: it takes room if it is there."""
        there = self._pair.twin.key_there(key)
        if not tally.doubtful(there):
            return
        try:
            found = await self._remote.get(kinds.POD, there[1], there[0])
        except NotFound:
            tally.release(there)
            return
        if self._pair.twin.owns(found):
            self.copies.learn(found)
        else:
            tally.release(there)

    async def _taken(self, key: Key, there: Key) -> Result:
        """A pod of that name is there: ours, of which the watch is about to tell, or somebody else's."""
        try:
            found = await self._remote.get(kinds.POD, there[1], there[0])
        except NotFound:
            return Result(requeue_after=0.0)
        if self._pair.twin.owns(found):
            self.copies.learn(found)
            return DONE
        if self._tally is not None:
            self._give_back(self._tally, there)
        return await self._refused(
            key, f"cluster {self._remote.name} has a pod {there[0]}/{there[1]} that is not ours: rename one of them"
        )

    async def _refused(self, key: Key, why: str) -> Result:
        log.warning("pod %s/%s cannot be sent: %s", *key, why)
        pod = self.pods.get(key)
        step = pods.refused(pod, why) if pod is not None else None
        if step is not None:
            await self._act(step)
        return Result(requeue_after=LOOK_AGAIN)
