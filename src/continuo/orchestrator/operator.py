"""The closed loop, running: watches in, observe -> orient -> decide -> act, status out.

Level-triggered: a change anywhere only says which orchestration to look at again. Everything is derived anew from the
caches, so the process may be killed at any line; what it keeps in memory (failed tries, rendered objects) only saves work.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import functools
import logging
import time
from collections.abc import Callable, Iterable

from continuo.events.publisher import Publisher
from continuo.federation.model import LinkSettings
from continuo.kube.port import Cluster
from continuo.orchestrator import naming
from continuo.orchestrator.act import Attempts
from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.caches import CLUSTER_NAME, management_watches
from continuo.orchestrator.capacity import counts, waits
from continuo.orchestrator.decide import decide
from continuo.orchestrator.decisions.removal import left_clusters
from continuo.orchestrator.declarations import Declarations
from continuo.orchestrator.executor import Executor, InProcess, Round
from continuo.orchestrator.loops.enact import Desk
from continuo.orchestrator.loops.figures import Figures
from continuo.orchestrator.loops.rounds import Looked, Loops
from continuo.orchestrator.loops.views import lost_since
from continuo.orchestrator.measuring.measuring import Measuring, present
from continuo.orchestrator.membership import Membership
from continuo.orchestrator.memo import Memory
from continuo.orchestrator.observe import Snapshot, adopted_secrets, observe
from continuo.orchestrator.orient import Wanted
from continuo.orchestrator.placing.asking import Placing
from continuo.orchestrator.placing.improve import Improver, exactly
from continuo.orchestrator.plan import Action, Plan, Write
from continuo.orchestrator.rollback import Rollbacks
from continuo.orchestrator.settings import Settings
from continuo.orchestrator.status import LoopsSeen, derive_status
from continuo.orchestrator.tasks import Booked, book, paused
from continuo.orchestrator.telling import Telling
from continuo.orchestrator.world import LiveWorld, member_name
from continuo.placement.pool import Pool
from continuo.resources import kinds
from continuo.resources.errors import Invalid
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Key, Kind, Object, deleting, key_of, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, LowLevelOrchestration, decode
from continuo.runtime.clusterset import Connect, member_of
from continuo.runtime.controller import Controller, Result
from continuo.runtime.events import EventRecorder

log = logging.getLogger(__name__)

MOST_LOOKS = 8
"""Decisions that are carried out before anything of them is done; others come with the next round."""
COALESCE = 0.05
"""Seconds to wait for more changes of the same orchestration before looking at it."""


class Operator:
    """The orchestrator of one management cluster."""

    def __init__(
        self,
        management: Cluster,
        connect: Connect,
        settings: Settings | None = None,
        *,
        link_settings: LinkSettings | None = None,
        workers: int = 8,
        instance: str = "continuo",
        clock: Callable[[], float] = time.time,
        executor: Executor | None = None,
        publisher: Publisher | None = None,
        figures: Figures | None = None,
        telling: Telling | None = None,
        placing: Pool | None = None,
    ) -> None:
        self.management, self.settings = management, settings or Settings()
        self.link_settings = link_settings or LinkSettings()
        self._clock = clock
        self.executor: Executor = executor or InProcess(self._loop_time, self.settings.write_concurrency)
        self.publisher = publisher or Publisher()
        self._hub = member_of("management", management, management_watches())
        self.informers = {informer.watch.kind: informer for informer in self._hub.informers}
        self.figures = figures or Figures(clock=clock)
        self.figures.on_late = self._wake
        pool = placing or Pool()
        improver, places = Improver(self._wake, exactly(pool), pool), Placing(pool, self._wake)
        desk = Desk(management, self.informers)
        self.loops = Loops(desk, self.figures, self.settings, self._client, improver, places)
        self._membership = Membership(connect, self.informers, self._wake)
        self.fleet = self._membership.fleet
        self.world = LiveWorld(
            self._hub, self.fleet, self._membership.register, self._loop_time, self.settings.lost_after,
            self._membership.tally,
        )  # fmt: skip
        self.rollbacks = Rollbacks(management, self.world.management(), self.loops.desk)
        self.measuring = Measuring(self._client, self.settings, self.link_settings, self._loop_time, clock)
        self.telling = telling or Telling()
        look = self.telling.looking(self.reconcile, self.informers[LOW_LEVEL_ORCHESTRATION].cache.get)
        self.controller: Controller[Key] = Controller(
            "orchestrator", look, workers=workers, observer=self.telling.controllers
        )
        self.telling.follow(self._hub, self.fleet, self.controller, self.publisher)
        self.events = EventRecorder(management, "continuo", instance)
        declarations = self.informers[LOW_LEVEL_ORCHESTRATION]
        self._declarations = Declarations(management, declarations, self.events, self.publisher, self._add, self._now)
        self._memory: dict[Key, Memory] = {}
        self.executor.attach(self._ask)
        self._queued: set[Key] = set()
        """Orchestrations that wait for a free place to create a cluster."""
        self._lost: set[str] = set()
        self._running = False

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()

    def trouble(self) -> str:
        """Why the operator cannot work, as a sentence; empty while it can, or while another replica leads."""
        if not self._running or self._hub.stale_since is None:
            return ""
        return f"the management cluster cannot be followed: {self._hub.trouble}"

    async def run(self) -> None:
        """Work until cancelled."""
        self._running = True
        for kind, informer in self.informers.items():
            informer.on_change(self._management_changed(kind))
        self.fleet.on_change(self._workload_changed)
        self.fleet.on_membership(lambda name, _: self._retry(self._membership.users(name)))
        self._hub.on_recovery = lambda: self._retry(self._memory)
        self._hub.start()
        health = asyncio.create_task(self._watch_health(), name="health")
        try:
            await self._hub.wait_synced()
            self._membership.register_all(self.world.management())
            log.info("the management cluster is read; working")
            self.events.start()
            self.publisher.on_confirmed = lambda obj, _worth: self._add(key_of(obj))
            self.publisher.start()
            await self.controller.run()
        finally:
            health.cancel()
            await self._close()

    async def _close(self) -> None:
        await self.controller.stop(grace=2.0)
        await asyncio.gather(*(informer.stop() for informer in self._hub.informers))
        await self.loops.close()
        await self._membership.close()
        await self.publisher.stop()
        await self.events.stop()

    # --- what a change means ---------------------------------------------------------------------------------------

    def _add(self, key: Key) -> None:
        self.controller.queue.add_after(key, COALESCE)

    def _ask(self, key: Key, seconds: float) -> None:
        """The executor wants a look; see `Ask`."""
        if seconds < 0:
            self._retry([key])
        else:
            self.controller.queue.add_after(key, seconds)

    def _wake(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            self._add(key)

    def _retry(self, keys: Iterable[Key]) -> None:
        """A cluster is there, or there again: what failed without it need not wait for its turn."""
        for key in list(keys):
            if (memory := self._memory.get(key)) is not None:
                memory.attempts.forgive()
            self._add(key)

    def _management_changed(self, kind: Kind) -> Callable[[Object | None, Object | None], None]:
        def changed(old: Object | None, new: Object | None) -> None:
            obj = new if new is not None else old
            if obj is None:
                return
            if kind is LOW_LEVEL_ORCHESTRATION:
                self._orchestration_changed(old, new)
            elif kind is ADJUSTMENT:
                self._add(key_of(obj))
            elif kind is DECISION:
                self._decision_changed(old, new)
            elif kind is kinds.CUSTOM_RESOURCE_DEFINITION:
                return
            elif kind is kinds.SECRET:
                self._wake(self._membership.secret_users(key_of(obj)))
            elif (owner := naming.owner(obj)) is not None:
                self._add(owner)
                if kind is kinds.CLUSTER:
                    self._wake(self._queued)
                    self._name_freed(obj, new)
            elif kind is kinds.CLUSTER:
                self._name_freed(obj, new)
            else:
                self._machine_changed(obj)

        return changed

    def _name_freed(self, obj: Object, new: Object | None) -> None:
        """A Cluster is gone: others may have waited for its name."""
        if new is None:
            namespace, name = key_of(obj)
            self._wake(self._membership.users(member_name(namespace, f"{name}-kubeconfig")))

    def _orchestration_changed(self, old: Object | None, new: Object | None) -> None:
        """Our own status writes are no reason to look again."""
        if old is not None and new is not None:
            same = old["metadata"].get("generation") == new["metadata"].get("generation")
            if same and deleting(old) == deleting(new):
                return
        self._add(key_of(new if new is not None else old))  # type: ignore[arg-type]

    def _decision_changed(self, old: Object | None, new: Object | None) -> None:
        """What others decide, approve or deny; our own writes of how far one is are no reason to look again."""
        if old is None or new is None or old["spec"].get("verdict") != new["spec"].get("verdict"):
            obj: Object = new or old or {}
            self._add((key_of(obj)[0], str(obj["spec"].get("orchestration"))))

    def _machine_changed(self, obj: Object) -> None:
        """Machines and releases carry the cluster's name; the cluster says whose it is."""
        name = labels_of(obj).get(CLUSTER_NAME)
        cluster = self.informers[kinds.CLUSTER].cache.get((key_of(obj)[0], name)) if name else None
        owner = naming.owner(cluster) if cluster is not None else None
        if owner is not None:
            self._add(owner)

    def _workload_changed(self, cluster: str, kind: Kind, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None and counts(kind, obj):
            if self._membership.count(cluster, kind, old, new):
                self._wake(self._membership.users(cluster))
            waiting = (pod for pod in (old, new) if pod is not None and waits(pod))
            self._wake({whose for pod in waiting if (whose := naming.owner(pod)) is not None})
            return
        owner = naming.owner(obj) if obj is not None else None
        if owner is not None:
            self._add(owner)
        if owner is None or (kind is kinds.NAMESPACE and new is None):  # what goes may be what others wait for
            self._wake(self._membership.users(cluster))

    async def _watch_health(self) -> None:
        """Notice workload clusters that fell silent, or answer again."""
        while True:
            await asyncio.sleep(self.settings.lost_after)  # a look into memory: no requests
            lost = {member.name for member in self.fleet if member.stale_since is not None}
            for name in lost - self._lost:
                log.warning("workload cluster %s does not answer", name)
            for name in lost | self._lost:
                self._wake(self._membership.users(name))
            self._lost = lost

    # --- one round --------------------------------------------------------------------------------------------------

    async def reconcile(self, key: Key) -> Result:
        """Look at one orchestration and bring it one step on."""
        obj = self.informers[LOW_LEVEL_ORCHESTRATION].cache.get(key)
        if obj is None:
            await self._forget(key)
            return Result()
        memory = self._memory.setdefault(key, Memory(Attempts(self.settings.retry_first, self.settings.retry_limit)))
        try:
            orchestration = memory.decoded(obj, decode)
        except Invalid as error:
            await self._declarations.report_invalid(obj, error)
            return Result()
        if not deleting(obj):
            obj = await self._declarations.hold(obj, adopted_secrets(obj, orchestration))
        management = self.world.management()
        try:
            wanted = memory.laid(orchestration, management).orchestration
        except Invalid as error:
            await self._declarations.report_invalid(obj, error)
            return Result()
        await self._membership.follow(key, obj, wanted, management)
        with self.telling.stage("observe"):
            snapshot = self._observed(obj, orchestration, memory)
        snapshot, looked = await self._decided(snapshot, orchestration, memory)
        if looked.gone:
            self._add(key)
            return Result()
        round_, booked = self._look(snapshot, memory, looked)
        plan = round_.plan
        written = await self._declarations.write_status(obj, booked.status)
        if written is None:
            self._add(key)  # somebody wrote meanwhile: nothing is begun that is not written down
            return Result()
        self.publisher.take(written)
        tended = await self.measuring.tend(key) if not _paused(snapshot) else None
        if snapshot.deleting and not plan.steps and not plan.refusals and not present(snapshot):
            return Result(await self._declarations.leave(written))
        known = memory.attempts.tried()
        if not _paused(snapshot):
            with self.telling.stage("act"):
                await self.executor.run(round_)
        await self.rollbacks.after(snapshot, written, self._now())
        closed = await self.loops.after(snapshot, looked, plan, self._now())
        if closed or booked.waiting or memory.attempts.tried() != known:
            self._add(key)
        if left := left_clusters(snapshot, plan) - present(snapshot):
            secrets = adopted_secrets(obj, orchestration)
            await self._declarations.hold(obj, {name: secret for name, secret in secrets.items() if name not in left})
            self._add(key)
        retry = memory.attempts.next_retry(plan, self._loop_time())
        waits = [s for s in (retry, booked.next_look, self._until(looked.again), tended) if s is not None]
        return Result(min(waits, default=None))

    async def _decided(
        self, snapshot: Snapshot, declared: LowLevelOrchestration, memory: Memory
    ) -> tuple[Snapshot, Looked]:
        """What placement and the loops decide, and the picture with that laid over the declaration."""
        if self.loops.idle(snapshot):
            return snapshot, Looked(lost=lost_since(snapshot, self._now()))
        for _ in range(MOST_LOOKS):
            with self.telling.stage("loops"):
                assessment = self.measuring.assess(snapshot, memory.oriented(snapshot, self.settings))
                fresh = functools.partial(self._fresh, snapshot, declared, memory)
                looked = await self.loops.look(snapshot, assessment, self._now(), fresh)
            if looked.gone or not looked.changed:
                return dataclasses.replace(snapshot, waiting=looked.waiting), looked
            snapshot = self._observed(snapshot.object, declared, memory)
            self._add(snapshot.key)  # other clusters may have to be followed
        told = tuple((snapshot.object.get("status") or {}).get("loops") or ())
        return snapshot, dataclasses.replace(looked, loops=told)

    def _observed(self, obj: Object, declared: LowLevelOrchestration, memory: Memory) -> Snapshot:
        return observe(obj, self.world, declared, memory.laid(declared, self.world.management()))

    def _fresh(
        self, snapshot: Snapshot, declared: LowLevelOrchestration, memory: Memory
    ) -> tuple[Snapshot, Assessment] | None:
        """The same orchestration as it is now; none where its declaration is another one, or it goes."""
        live, seen = self.informers[LOW_LEVEL_ORCHESTRATION].cache.get(snapshot.key), snapshot.object
        same = ("uid", "generation", "deletionTimestamp")
        if live is None or any(live["metadata"].get(name) != seen["metadata"].get(name) for name in same):
            return None
        again = self._observed(seen, declared, memory)
        return again, self.measuring.assess(again, memory.oriented(again, self.settings))

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)

    def _until(self, at: datetime.datetime | None) -> float | None:
        """Seconds until then; a little more, so that it is over then."""
        return max(0.0, (at - self._now()).total_seconds()) + 0.05 if at is not None else None

    def _look(self, snapshot: Snapshot, memory: Memory, looked: Looked) -> tuple[Round, Booked]:
        """What there is to do, and the status that says so before any of it is done."""
        wanted, assessment, plan = self._plan(snapshot, memory)
        self._reserve(snapshot, plan)
        at = self._now()
        now = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        memory.attempts.keep_only(plan)
        seen = LoopsSeen(looked.loops, looked.lost)
        status = derive_status(
            snapshot, wanted, assessment, plan, memory.attempts.failures(), self.settings, now, seen
        )  # fmt: skip
        if _paused(snapshot):
            return self._round(snapshot, memory, plan), Booked(paused(snapshot, status, at), plan, (), None, False)
        confirmed = self.publisher.confirmed(str(snapshot.object["metadata"].get("uid")))
        booked = book(
            snapshot, wanted, assessment, plan, memory.attempts, status, self.settings, at, confirmed
        )  # fmt: skip
        return self._round(snapshot, memory, booked.plan), booked

    def _plan(self, snapshot: Snapshot, memory: Memory) -> tuple[Wanted, Assessment, Plan]:
        """All that separates what is from what is wanted."""
        with self.telling.stage("orient"):
            wanted = memory.oriented(snapshot, self.settings)
        with self.telling.stage("assess"):
            assessment = self.measuring.assess(snapshot, wanted)
            self.telling.measured(snapshot.key, assessment.figures, self.measuring.jitters(snapshot.key))
        with self.telling.stage("decide"):
            plan = decide(snapshot, wanted, assessment, self.settings, memory.compare)
        return wanted, assessment, plan

    def _round(self, snapshot: Snapshot, memory: Memory, plan: Plan) -> Round:
        """A plan with what it takes to run it."""
        clients = {"": self.management} | {
            name: member.cluster
            for name, seen in snapshot.clusters.items()
            if (member := self.fleet.get(member_name(snapshot.key[0], seen.secret))) is not None
        }
        learn = functools.partial(self._learn, snapshot, memory)
        return Round(plan, snapshot, memory.attempts, clients, learn, self.world.management())

    def _client(self, key: Key, cluster: str) -> Cluster | None:
        """The API of a workload cluster, by the name that the orchestration has for it; None while it is not followed."""
        member = self._membership.member(key, cluster)
        return member.cluster if member is not None and member.stale_since is None else None

    def _reserve(self, snapshot: Snapshot, plan: Plan) -> None:
        """Count clusters as being provisioned from the moment they are written, and remember who has to wait."""
        waiting = False
        for step in plan.steps:
            if step.target.kind == "cluster" and step.action is Action.CREATE:
                if step.writes:
                    full = naming.cluster_name(snapshot.key[1], step.target.name)
                    self.world.started.add((snapshot.key[0], full))
                else:
                    waiting = True
        (self._queued.add if waiting else self._queued.discard)(snapshot.key)

    def _learn(self, snapshot: Snapshot, memory: Memory, write: Write, answer: Object) -> None:
        """Put the answer of an apply into the cache that will see it anyway, so that it is not written twice."""
        memory.took(write.object, answer)
        if write.cluster == "":
            informer = self.informers.get(write.kind)
        else:
            seen = snapshot.clusters[write.cluster]
            member = self.fleet.get(member_name(snapshot.key[0], seen.secret))
            labels = None if write.kind is kinds.NAMESPACE else naming.SELECT_MANAGED
            informer = member.informer_for(write.kind, labels) if member is not None else None
        if informer is not None and naming.owner(answer) is not None:
            informer.learn(answer)

    async def _forget(self, key: Key) -> None:
        """The orchestration is gone."""
        self._memory.pop(key, None)
        self.executor.forget(key)
        self._queued.discard(key)
        self.measuring.forget(key)
        self.loops.forget(key)
        await self._membership.forget(key)


def _paused(snapshot: Snapshot) -> bool:
    """Whether nothing is to be changed; what is deleted goes all the same."""
    return snapshot.declared.paused and not snapshot.deleting
