"""Makes the paths that are needed and removes those that no longer are.

One key of one queue for each pair of clusters. What a path is made of is read from both clusters every time, and that it is
ours from the label on it, so the process may be killed at any line: whoever comes next finds every path of this broker, in
use or not, and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from continuo.broker.paths.left import left_behind
from continuo.broker.paths.needs import Judged, Needs
from continuo.federation import paths
from continuo.federation.followed import Followed
from continuo.federation.model import LinkPhase, LinkProgress, LinkSettings
from continuo.federation.paths import Ends
from continuo.federation.state import EndState
from continuo.kube.port import Cluster
from continuo.resources.meta import Object
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer

log = logging.getLogger(__name__)

MANAGER = "continuo-paths"
LINGER = 10.0
"""Seconds for which a path outlives its last pod: a rollout replaces pods one by one."""
LOOK_AGAIN = 30.0
"""Seconds until a path that waits for something is looked at without being told."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is with one path."""

    ends: Ends
    pods: int
    """How many pods need it."""
    phase: LinkPhase
    why: str


class Paths:
    """The paths of one broker. Clusters are added under the identifiers that they have in Liqo."""

    def __init__(
        self, broker: Cluster, broker_id: str, *, settings: LinkSettings | None = None, linger: float = LINGER,
        pods: Informer | None = None,
    ) -> None:  # fmt: skip
        self._id, self._settings, self._linger = broker_id, settings or LinkSettings(), linger
        self._needs = Needs(broker, broker_id, self._needed, pods)
        self._clusters: dict[str, Cluster] = {}
        self._followed: dict[str, Followed] = {}
        self._standings: dict[Ends, Standing] = {}
        self.changed = asyncio.Event()
        """Set when a standing changed; who waits for that clears it first."""
        self._idle_since: dict[Ends, float] = {}
        self._searched: set[str] = set()
        self._bare: dict[str, set[str]] = {}
        """By peer that is not known yet: clusters with what remains of a link to it."""
        self._reading: set[asyncio.Task[None]] = set()
        self._search: Controller[str] = Controller("paths left behind", self._look_for_left, workers=4)
        self.controller: Controller[Ends] = Controller("paths", self.reconcile, workers=8)

    def add(self, cluster_id: str, cluster: Cluster) -> None:
        """Let paths lead to a cluster; the client stays its owner's."""
        self._clusters[cluster_id] = cluster
        self._needs.expect(f"client of {cluster_id}", cluster_id)
        self._searched.discard(cluster_id)
        self._search.add(cluster_id)
        for name in self._bare.pop(cluster_id, ()):
            self.controller.add(paths.ends(name, cluster_id))
        for pair in self._needs.all:
            if cluster_id in pair:
                self.controller.add(pair)

    def expect(self, who: str, cluster_id: str | None, node: str = "") -> None:
        """On somebody's account paths may lead to a cluster, which is or will be added; None: no more.

        `node` stands for it in the broker's cluster. Pods of clusters that nobody expects are reached through the broker,
        over the hops beside it.
        """
        self._needs.expect(who, cluster_id, node)

    def through(self, pod: Object) -> bool:
        """Whether a pod of the broker's cluster is reached through the broker. Not known before `start`."""
        return self._needs.through(pod)

    def on_judged(self, callback: Judged) -> Callable[[], None]:
        """Call back with each pod for which `through` is another one though the pod is as it was; returns what ends that."""
        return self._needs.on_judged(callback)

    async def remove(self, cluster_id: str) -> None:
        """Know a cluster no more. Its paths stay as they are: nobody is left who could reach it."""
        self._clusters.pop(cluster_id, None)
        followed = self._followed.pop(cluster_id, None)
        if followed is not None:
            await followed.close()

    def hold(self, who: str, pair: Ends | None) -> None:
        """Let there be a path for somebody even while no pod needs it, and no other one for them; None: none.

        To be said again after a start, before `run`: what nobody needs then goes at once.
        """
        self._needs.hold(who, pair)

    async def start(self) -> None:
        """Return when it is known which pods are there and whose; for those who ask before `run` makes or removes a path."""
        await self._needs.start()

    async def close(self) -> None:
        """Know no more what `start` began to know; after `run` there is nothing left to do."""
        await self._needs.close()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self.start()
            self._search.start()
            self.controller.start()
            await asyncio.Event().wait()
        finally:
            await asyncio.gather(self._search.stop(), self.controller.stop(), self._needs.close())
            for task in self._reading:
                task.cancel()
            await asyncio.gather(*(followed.close() for followed in self._followed.values()))
            self._followed.clear()

    @property
    def standings(self) -> list[Standing]:
        """How it is with each path that there is, or should be."""
        return list(self._standings.values())

    # --- what is to be looked at --------------------------------------------------------------------------------------
    def _needed(self, pair: Ends) -> None:
        self.controller.add(pair)

    def _cluster_changed(self, name: str) -> None:
        followed = self._followed.get(name)
        for pair in followed.users if followed is not None else ():
            self.controller.add(pair)

    async def _look_for_left(self, name: str) -> Result:
        """Find the paths that an earlier process made, needed or not; tried again until the cluster has answered."""
        cluster = self._clusters.get(name)
        if cluster is not None and name not in self._searched:
            ours, bare = await left_behind(cluster, self._id)
            for peer in ours | (bare & self._clusters.keys()):
                self.controller.add(paths.ends(name, peer))
            for peer in bare - self._clusters.keys():
                self._bare.setdefault(peer, set()).add(name)
            self._searched.add(name)
        return DONE

    # --- one path -----------------------------------------------------------------------------------------------------
    async def reconcile(self, pair: Ends) -> Result:
        """Bring one path one step on."""
        needed = pair in self._needs
        if needed:
            self._idle_since.pop(pair, None)
        elif (wait := self._still(pair)) > 0:
            return Result(requeue_after=wait)
        if needed and (why := self._hindrance(pair)):
            self._tell(pair, LinkProgress(LinkPhase.PENDING, "Waiting", why, 0, 0))
            return Result(requeue_after=LOOK_AGAIN)
        one, other = self._end(pair[0], pair), self._end(pair[1], pair)
        if one is None or other is None:
            return Result(requeue_after=LOOK_AGAIN)  # not read yet: nothing is concluded from that it shows nothing
        advance, withdraw = paths.advance, paths.withdraw
        progress = advance(one, other, self._id, self._settings) if needed else withdraw(one, other, self._id)
        self._tell(pair, progress)
        for write in progress.writes:
            await self._followed[write.cluster].write(write.op, MANAGER)
        if not needed and progress.phase is LinkPhase.GONE and all(map(self._is_done_with, (one, other))):
            await self._forget(pair)
            return DONE
        return DONE if progress.phase is LinkPhase.CONNECTED else Result(requeue_after=LOOK_AGAIN)

    def _is_done_with(self, end: EndState) -> bool:
        """Whether nothing is left to be done there. A cluster that is known no more is searched when it is added again."""
        return end.reachable or end.name not in self._clusters

    def _still(self, pair: Ends) -> float:
        """Seconds for which a path without pods is kept."""
        now = asyncio.get_running_loop().time()
        known = self._standings.get(pair)
        if known is None:
            return 0.0  # left behind by an earlier process: its pods went long ago
        return self._idle_since.setdefault(pair, now) + self._linger - now

    def _hindrance(self, pair: Ends) -> str:
        """Why a path cannot be begun; empty when it can."""
        missing = [name for name in pair if name not in self._clusters]
        if missing:
            return f"the broker has no credentials for {' and '.join(missing)}: traffic takes the next hop"
        silent = [name for name in pair if not self._follow(name, pair).synced]
        return f"waiting for {' and '.join(silent)} to be read" if silent else ""

    def _end(self, name: str, pair: Ends) -> EndState | None:
        """One end as it is seen; None when it will be seen soon. Of a cluster that is gone nothing is."""
        peer = pair[1] if name == pair[0] else pair[0]
        if name not in self._clusters:
            return EndState(name, None, peer, reachable=False)
        followed = self._follow(name, pair)
        return followed.end(peer) if followed.synced or not followed.reachable else None

    def _follow(self, name: str, pair: Ends) -> Followed:
        followed = self._followed.get(name)
        if followed is None:
            followed = self._followed[name] = Followed(name, self._clusters[name], self._cluster_changed)
            followed.start()
            task = asyncio.create_task(self._when_read(name, followed))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        followed.users.add(pair)
        return followed

    async def _when_read(self, name: str, followed: Followed) -> None:
        await followed.wait_synced()
        self._cluster_changed(name)

    def _tell(self, pair: Ends, progress: LinkProgress) -> None:
        before = self._standings.get(pair)
        self._standings[pair] = Standing(pair, self._needs.pods(pair), progress.phase, progress.message)
        self.changed.set()
        if before is None or before.phase is not progress.phase:
            log.info("path %s - %s: %s (%s)", *pair, progress.phase, progress.message)

    async def _forget(self, pair: Ends) -> None:
        """Nothing of the path is left: follow its ends no longer than others need them."""
        self._standings.pop(pair, None)
        self.changed.set()
        self._idle_since.pop(pair, None)
        for name in pair:
            followed = self._followed.get(name)
            if followed is not None:
                followed.users.discard(pair)
                if not followed.users:
                    del self._followed[name]
                    await followed.close()
