"""Many virtual nodes in one process: reflections that come and go, over clusters that they share.

What there should be is declared (`Peer`s, by `declare` or one by one); each peer has one task, which begins again after
whatever stopped it. Nothing is remembered but the declaration: the process may be killed at any line.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from continuo.federation.reflection.detach import Detachment
from continuo.federation.reflection.engine import BEAT, BEAT_WHILE_AWAY, Reflection, Settings
from continuo.federation.reflection.hub import Hub
from continuo.federation.reflection.node import NodeKeeper
from continuo.federation.reflection.pair import Placement, later
from continuo.federation.reflection.relays import Relays
from continuo.kube.port import Cluster
from continuo.resources.errors import ApiError, BadRequest, NotFound
from continuo.runtime.backoff import Backoff
from continuo.runtime.informer import Informer

log = logging.getLogger(__name__)

Key: TypeAlias = tuple[str, str]
"""A home cluster's name, and a node."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One virtual node that there should be, or should be no more."""

    home: str
    """Name of the cluster that has the node."""
    remote: str
    """Name of the cluster for which it stands."""
    settings: Settings
    detached: bool = False
    """Take the node away, with what belongs to it at home; what is left in the remote cluster goes when it answers."""

    @property
    def key(self) -> Key:
        """The home cluster and the node."""
        return self.home, self.settings.node


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is with one peer."""

    peer: Peer
    ready: bool
    why: str
    """Why it is not; empty when it is."""


class Fleet:
    """All reflections of a process. Clusters are added by name before peers speak of them."""

    def __init__(
        self,
        *,
        beat: float = BEAT,
        while_away: float = BEAT_WHILE_AWAY,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._beat, self._while_away = beat, while_away
        self._backoff, self._random = backoff or Backoff(base=0.5, cap=30.0), rng or random.Random()
        self._hubs: dict[str, Hub] = {}
        self._kept: dict[Key, _Kept] = {}
        self._lock = asyncio.Lock()
        self._relays = Relays()
        self._placements: dict[str, Placement] = {}
        self._followers: list[Callable[[Key], None]] = []

    def placed_by(self, cluster: str, place: Placement) -> None:
        """Let pods be placed while they are created in a cluster, which spares a write; to be said before peers are."""
        self._placements[cluster] = place

    def add_cluster(self, cluster: Cluster, pods: Informer | None = None) -> Hub:
        """Let peers speak of a cluster by its client's name; the client stays its owner's.

        `pods`: an informer of all its pods with the hub's `POD_INDEXERS`, which others in the process follow too.
        """
        if cluster.name in self._hubs:
            raise BadRequest(f"there is a cluster {cluster.name} already: names of clusters must differ")
        hub = self._hubs[cluster.name] = Hub(cluster, pods=pods)
        return hub

    async def remove_cluster(self, name: str) -> None:
        """Forget a cluster, and every peer that speaks of it."""
        hub = self._hubs.pop(name, None)  # first: nobody is to speak of it meanwhile
        for kept in list(self._kept.values()):
            if name in (kept.peer.home, kept.peer.remote):
                await self.drop(*kept.peer.key)
        if hub is not None:
            await hub.close()

    def follow(self, callback: Callable[[Key], None]) -> None:
        """Call back with the key of every peer whose standing has changed. Must be quick and not block."""
        self._followers.append(callback)

    async def put(self, peer: Peer, offer: Mapping[str, str] | None = None) -> None:
        """Let there be this peer, in place of another one of its key; of a new one the `offer` (see there)."""
        async with self._lock:
            known = self._kept.get(peer.key)
            if known is not None and known.peer == peer:
                return
            for name in (peer.home, peer.remote):
                if name not in self._hubs:
                    raise BadRequest(f"node {peer.settings.node} speaks of cluster {name}, which nobody has added")
            if known is not None:
                await known.stop()
            self._hubs[peer.home].home = True
            kept = self._kept[peer.key] = _Kept(peer, self._tell)
            kept.told = offer if known is None else known.told
            kept.start(self._keep(kept, self._hubs[peer.home], self._hubs[peer.remote]))

    async def drop(self, home: str, node: str) -> None:
        """Reflect no more. Node and pods stay; the node turns NotReady by itself."""
        async with self._lock:
            kept = self._kept.pop((home, node), None)
            if kept is not None:
                await kept.stop()

    def offer(self, home: str, node: str, resources: Mapping[str, str] | None) -> None:
        """Let a node offer this from now on, over restarts of its reflection; None: what the remote's nodes have."""
        kept = self._kept.get((home, node))
        if kept is None:
            raise NotFound(f"there is no node {node} of cluster {home} that could offer anything")
        kept.told = resources
        if kept.reflection is not None:
            kept.reflection.offer(resources)

    async def detach(self, home: str, node: str) -> None:
        """Take a node away whose cluster may be out of reach. See `Peer.detached`."""
        kept = self._kept.get((home, node))
        if kept is None:
            raise NotFound(f"there is no node {node} of cluster {home} to be detached")
        peer = kept.peer
        await self.put(Peer(peer.home, peer.remote, peer.settings, detached=True))

    async def declare(self, peers: Iterable[Peer]) -> None:
        """Let there be exactly these peers."""
        wanted = {peer.key: peer for peer in peers}
        for key in [key for key in self._kept if key not in wanted]:
            await self.drop(*key)
        for peer in wanted.values():
            if peer.home in self._hubs:
                self._hubs[peer.home].home = True
        for peer in wanted.values():
            await self.put(peer)

    @property
    def standings(self) -> list[Standing]:
        """How it is with each peer."""
        return [kept.standing for kept in self._kept.values()]

    def standing(self, home: str, node: str) -> Standing | None:
        """How it is with one peer; None: there is none."""
        kept = self._kept.get((home, node))
        return kept.standing if kept is not None else None

    async def ready(self, home: str, node: str) -> None:
        """Return when a peer is reflected, or detached, for the first time."""
        await self._kept[home, node].ready.wait()

    async def close(self) -> None:
        """End all reflections. Everything in the clusters stays."""
        async with self._lock:
            kept, self._kept = list(self._kept.values()), {}
            await asyncio.gather(*(each.stop() for each in kept))
            for hub in self._hubs.values():
                await hub.close()

    async def _keep(self, kept: _Kept, home: Hub, remote: Hub) -> None:
        """Work for one peer until cancelled, whatever happens."""
        failures, peer = 0, kept.peer
        while True:
            try:
                if peer.detached:
                    await Detachment(home, remote, peer.settings.node, kept.done, look=self._while_away).run()
                    return
                kept.reflection = Reflection(
                    home, remote, peer.settings, beat=self._beat, while_away=self._while_away, ready=kept.ready,
                    relays=self._relays, place=self._placements.get(peer.remote, later), told=kept.told, changed=kept.tell,
                )  # fmt: skip
                await kept.reflection.run()
            except ApiError as error:
                kept.why = str(error)
                log.warning("node %s of cluster %s: %s", peer.settings.node, peer.home, error)
            except Exception as error:
                kept.why = f"{type(error).__name__}: {error}"
                log.exception("node %s of cluster %s", peer.settings.node, peer.home)
            failures = 1 if kept.went_well() else failures + 1
            kept.reflection = None
            kept.tell()
            await self._lament(home, peer, kept.why)
            await asyncio.sleep(self._backoff.delay(failures, self._random))

    def _tell(self, key: Key) -> None:
        for follower in self._followers:
            follower(key)

    async def _lament(self, home: Hub, peer: Peer, why: str) -> None:
        """What cannot be begun may be a node that an earlier process left."""
        if peer.detached:
            return
        try:
            await NodeKeeper(home.cluster, peer.settings.node).lament(why)
        except ApiError as error:
            log.debug("node %s of cluster %s was told nothing: %s", peer.settings.node, peer.home, error)


class _Kept:
    """One peer, its task, and how it is."""

    def __init__(self, peer: Peer, changed: Callable[[Key], None]) -> None:
        self.peer, self._changed = peer, changed
        self.ready = asyncio.Event()
        self.reflection: Reflection | None = None
        self.why = "it begins"
        self.told: Mapping[str, str] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def standing(self) -> Standing:
        if self.peer.detached:
            return Standing(self.peer, self.ready.is_set(), "" if self.ready.is_set() else self.why)
        running = self.reflection is not None and self.ready.is_set()
        away = self.reflection.away if self.reflection is not None else None
        return Standing(self.peer, running and away is None, away or ("" if running else self.why))

    def went_well(self) -> bool:
        """Whether the reflection that ended had begun."""
        return self.reflection is not None and self.ready.is_set()

    def done(self, why: str) -> None:
        """What a detachment has to say; nothing: it is complete."""
        self.why = why
        if not why:
            self.ready.set()
        self.tell()

    def tell(self) -> None:
        """Its standing has changed."""
        self._changed(self.peer.key)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(work, name=f"node {self.peer.settings.node} of {self.peer.home}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
