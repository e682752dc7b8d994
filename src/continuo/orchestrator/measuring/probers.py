"""Places probers where somebody asks for a link's bandwidth, tells them of each other, and takes them away again.

They stand beside the plan: a prober that cannot be placed holds nothing up, it only leaves a bandwidth unknown. All the
memory there is are the clusters' objects; what is kept here are failed tries, and when something was applied last.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from continuo.federation.model import LinkPhase
from continuo.kube.port import Cluster
from continuo.orchestrator import naming
from continuo.orchestrator.assess import Assessment, ends
from continuo.orchestrator.drift import drift
from continuo.orchestrator.measuring.asked import asked_pairs
from continuo.orchestrator.measuring.figures import Pair, told_of
from continuo.orchestrator.measuring.manifests import manifests, seen_through
from continuo.orchestrator.measuring.names import probe_of, space_of
from continuo.orchestrator.observe import ClusterSeen, Reach, Snapshot
from continuo.orchestrator.orient import Wanted
from continuo.resources import kinds
from continuo.resources.errors import ApiError, NotFound
from continuo.resources.meta import Key, Kind, Object, deleting, key_of
from continuo.resources.probing import Peer
from continuo.runtime.backoff import Backoff

log = logging.getLogger(__name__)

REPAIR = 600.0
"""Seconds after which all of a prober is applied again: not all of its objects are followed."""
_FOLLOWED: dict[str, Kind] = {k.kind: k for k in (kinds.NAMESPACE, kinds.CONFIG_MAP, kinds.DEPLOYMENT)}


@dataclass(slots=True)
class _Place:
    """What is remembered of one cluster."""

    applied: float = float("-inf")
    failures: int = 0
    not_before: float = float("-inf")


@dataclass(slots=True)
class Probers:
    """The probers of all orchestrations of one operator."""

    client: Callable[[Key, str], Cluster | None]
    image: str
    now: Callable[[], float]
    """Seconds of a clock that only goes forward."""
    rng: random.Random = field(default_factory=random.Random)
    backoff: Backoff = field(default_factory=lambda: Backoff(base=2.0, cap=300.0))
    _places: dict[Key, dict[str, _Place]] = field(default_factory=dict)

    async def tend(self, snapshot: Snapshot, wanted: Wanted, assessment: Assessment) -> float | None:
        """Bring the probers of an orchestration one step on; seconds until there is something to do without a change."""
        asked = asked_pairs(snapshot.orchestration.spec, wanted)
        due = await asyncio.gather(
            *(self._one(snapshot, assessment, seen, asked) for seen in snapshot.clusters.values())
        )
        return min((wait for wait in due if wait is not None), default=None)

    def forget(self, key: Key) -> None:
        """The orchestration is gone."""
        self._places.pop(key, None)

    async def _one(
        self, snapshot: Snapshot, assessment: Assessment, seen: ClusterSeen, asked: frozenset[Pair]
    ) -> float | None:
        pairs = sorted(pair for pair in asked if seen.name in pair)
        live = _space(seen, snapshot.key)
        if seen.workload.reach is not Reach.OK or (not pairs and live is None):
            self._places.get(snapshot.key, {}).pop(seen.name, None)
            return None
        if live is not None and (deleting(live) or not naming.made_for(live, snapshot.key)):
            return None  # its end, or whoever it belongs to, will be told
        place = self._places.setdefault(snapshot.key, {}).setdefault(seen.name, _Place())
        if (wait := place.not_before - self.now()) > 0:
            return wait
        cluster = self.client(snapshot.key, seen.name)
        if cluster is None:
            return None
        try:
            if not pairs:
                await _remove(cluster, live)
                return None
            return await self._place(snapshot, assessment, seen, pairs, cluster, place)
        except ApiError as error:
            log.warning("%s/%s: the prober on %s: %s", *snapshot.key, seen.name, error)
            place.failures += 1
            wait = self.backoff.delay(place.failures, self.rng)
            place.not_before = self.now() + wait
            return wait

    async def _place(
        self, snapshot: Snapshot, assessment: Assessment, seen: ClusterSeen, pairs: list[Pair], cluster: Cluster,
        place: _Place,
    ) -> float | None:  # fmt: skip
        linked = any(assessment.links[pair].phase is LinkPhase.CONNECTED for pair in pairs if pair in assessment.links)
        if _space(seen, snapshot.key) is None and not linked:
            return None  # placed with the first link
        objects = manifests(snapshot.key, seen.name, self.image, _peers(snapshot, assessment, seen.name, pairs))
        old = self.now() - place.applied
        if old < REPAIR and not any(_differs(seen, obj) for obj in objects):
            return REPAIR - old
        for obj in objects:
            await cluster.apply(obj, manager=naming.MANAGER)
        place.applied, place.failures = self.now(), 0
        return REPAIR


def present(snapshot: Snapshot) -> frozenset[str]:
    """The clusters that answer and on which there is a prober that has yet to go."""
    found = set()
    for name, seen in snapshot.clusters.items():
        space = _space(seen, snapshot.key) if seen.workload.reach is Reach.OK else None
        if space is not None and not deleting(space) and naming.made_for(space, snapshot.key):
            found.add(name)
    return frozenset(found)


def _space(seen: ClusterSeen, key: Key) -> Object | None:
    caches = seen.workload.caches
    return caches.get(kinds.NAMESPACE, space_of(key)) if caches is not None else None


async def _remove(cluster: Cluster, space: Object | None) -> None:
    """Delete the namespace with all that is in it: exactly the one that was seen."""
    if space is None:
        return
    try:
        await cluster.delete(kinds.NAMESPACE, space["metadata"]["name"], uid=space["metadata"]["uid"])
    except NotFound:
        return


def _differs(seen: ClusterSeen, obj: Object) -> bool:
    kind, caches = _FOLLOWED.get(obj["kind"]), seen.workload.caches
    if kind is None or caches is None:
        return False
    namespace, name = key_of(obj)
    return bool(drift(obj, caches.get(kind, name, namespace)))


def _peers(snapshot: Snapshot, assessment: Assessment, name: str, pairs: list[Pair]) -> Iterator[Peer]:
    """The probers at the other ends that are known already."""
    for pair in pairs:
        other = pair[1] if pair[0] == name else pair[0]
        try:
            told = told_of(snapshot.clusters.get(other), snapshot.key)
        except ValueError:
            continue  # the link's status says so
        first, second = ends(snapshot, pair, assessment.clusters)
        here = first if pair[0] == name else second
        address = seen_through(told.address, here.configuration) if told is not None else None
        if told is not None and address is not None:
            host = f"[{address}]" if ":" in address else address
            yield Peer(
                name=other, probe=probe_of(snapshot.key, other), url=f"http://{host}:{told.port}", key=told.key,
                cluster_id=here.peer_id or "",
            )  # fmt: skip
