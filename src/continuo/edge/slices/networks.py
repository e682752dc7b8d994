"""Our half of the networks that slices use: one for each partner, for as long as a contract needs it.

Which contracts those are is a label on them, and that a half is ours a label on its tenant namespace, so the process may be
killed at any line. A network that others made is used as it is and never taken away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from continuo.edge.slices import letters
from continuo.edge.slices.terms import MANAGER
from continuo.federation import halves, names
from continuo.federation.followed import Followed
from continuo.federation.halves import Facts
from continuo.federation.model import LinkPhase, LinkProgress, LinkSettings
from continuo.federation.paths import PATH
from continuo.federation.state import EndState
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError, NotFound
from continuo.resources.kinds import FLUIDOS_CONTRACT
from continuo.resources.meta import Object, deleting, labels_of
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import DONE, Controller, Result

log = logging.getLogger(__name__)

OWNER = "continuo-slices"
"""Value of the label `continuo.dev/path`: whose network it is."""
NETWORK = "continuo.dev/slice-network-to"
"""Label of a Contract: the partner's cluster, to which its slice has a network."""
LOOK_AGAIN = 30.0
"""Seconds until a half that waits for something is looked at without being told."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one contract says of the partner's cluster."""

    contract: str
    since: str
    facts: Facts
    serves: bool
    """Whether we sold it: then our gateway is the one that listens."""


class Networks:
    """The halves of one cluster, which sentences call `name`."""

    def __init__(
        self, cluster: Cluster, name: str, *, trade: str, settings: LinkSettings | None = None,
        backoff: Backoff | None = None, rng: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._cluster, self._trade, self._settings = cluster, trade, settings or LinkSettings()
        self._followed = Followed(name, cluster, self._changed)
        self._claims: dict[str, dict[str, Claim]] = {}
        self._refused: dict[str, str] = {}
        self._standings: dict[str, LinkProgress] = {}
        self._told: dict[str, Facts] = {}
        self._followers: list[Callable[[str], None]] = []
        self._controller: Controller[str] = Controller(
            "slice networks", self.reconcile, workers=4, backoff=backoff, rng=rng
        )
        self._started = False
        self._asked: set[str] = set()
        """Contracts that asked before our own cluster was read."""
        self._tasks: list[asyncio.Task[None]] = []

    def follow(self, look: Callable[[str], None]) -> None:
        """Call back with each contract whose network is doing otherwise."""
        self._followers.append(look)

    def start(self) -> None:
        """Look after what is there already: what an earlier process left without any contract goes."""
        self._tasks.append(asyncio.create_task(self._find_left(), name="slice networks left behind"))

    async def close(self) -> None:
        """Take no more steps; everything stays."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._started:
            await self._controller.stop()
            await self._followed.close()

    # --- what contracts ask -------------------------------------------------------------------------------------------
    @property
    def cluster(self) -> str:
        """What our cluster is called in Liqo; empty while nobody knows, or where there is none."""
        return "" if self._unread() else self._followed.end("").cluster_id or ""

    def own(self, contract: Object, peer: str = "") -> Facts:
        """What there is to tell a partner: why there can be no network, or the facts of our half towards it."""
        if why := self._hindrance():
            self._asked.add(contract["metadata"]["name"])
            return Facts(trouble=why)
        return halves.facts_of(self._followed.end(peer or None))

    async def join(self, contract: Object, facts: Facts, *, serves: bool) -> str:
        """Let there be a network for a contract's slice; how it is, in a sentence."""
        name, peer = contract["metadata"]["name"], facts.cluster
        if why := self._hindrance():
            self._asked.add(name)
            return f"no network: {why}"
        if facts.trouble:
            return f"no network: the partner says: {facts.trouble}"
        claim = Claim(name, contract["metadata"].get("creationTimestamp", ""), facts, serves)
        await self._hold(contract, claim)
        if why := self._refused.get(name, ""):
            return f"no network: {why}"
        standing = self._standings.get(peer)
        if standing is None:
            return f"a network to {peer} is being made"
        if standing.phase is LinkPhase.CONNECTED:
            return f"a network leads to {peer}"
        return f"no network to {peer} yet: {standing.message}"

    async def leave(self, contract: Object) -> str:
        """The contract needs none any more; what is still to be waited for, empty when nothing of it is left."""
        name = contract["metadata"]["name"]
        held = [peer for peer, claims in self._claims.items() if claims.pop(name, None) is not None]
        label = labels_of(contract).get(NETWORK)
        self._refused.pop(name, None)
        peers = set(filter(None, (*held, label)))
        if not peers:
            return ""
        await self._label(contract, None)
        if self._unread():
            return f"the network to {' and '.join(sorted(peers))} is not known yet"
        waits = [peer for peer in sorted(peers) if not await self._without(peer)]
        return f"the network to {' and '.join(waits)} is being removed" if waits else ""

    async def _without(self, peer: str) -> bool:
        """Whether nothing is to be taken away of the half towards a partner, since others need it or it is gone."""
        self._controller.add(peer)
        if self._claims.get(peer) or await self._needed(peer):
            return True
        return not self._is_ours(self._followed.end(peer))

    # --- who holds what -----------------------------------------------------------------------------------------------
    async def _hold(self, contract: Object, claim: Claim) -> None:
        """Count the contract among those who need the network, before anything is made for it."""
        name, peer = claim.contract, claim.facts.cluster
        before = next((other for other, claims in self._claims.items() if name in claims and other != peer), None)
        if before is not None:
            await self.leave(contract)
        if self._claims.get(peer, {}).get(name) == claim:
            return
        await self._label(contract, peer)
        self._claims.setdefault(peer, {})[name] = claim
        await self._judge(peer)
        self._controller.add(peer)

    async def _judge(self, peer: str) -> None:
        """The oldest contract says what the partner's cluster is like; those that say otherwise have no network."""
        claims = self._claims[peer]
        first = oldest(claims.values())
        nodes = (await self._cluster.list(kinds.NODE)).items
        machines = [each["address"] for node in nodes for each in (node.get("status") or {}).get("addresses") or ()]
        for claim in claims.values():
            self._refused.pop(claim.contract, None)
            if why := self._objection(claim, first, machines):
                self._refused[claim.contract] = why

    def _objection(self, claim: Claim, first: Claim, machines: list[str]) -> str:
        facts = claim.facts
        if facts.lasting != first.facts.lasting or (facts.key and first.facts.key and facts.key != first.facts.key):
            return f"contract {first.contract} says otherwise of the networks and keys of cluster {facts.cluster}"
        if machine := letters.covers(facts, machines):
            return f"the networks of {facts.cluster} contain {machine}, which is a machine of this cluster"
        return ""

    async def _label(self, contract: Object, peer: str | None) -> None:
        meta = contract["metadata"]
        note = {"metadata": {"uid": meta["uid"], "labels": {NETWORK: peer}}}
        with contextlib.suppress(NotFound):
            if labels_of(contract).get(NETWORK) != peer:
                await self._cluster.patch(FLUIDOS_CONTRACT, meta["name"], note, meta["namespace"], manager=MANAGER)

    async def _needed(self, peer: str) -> bool:
        """Whether some contract is counted that nobody has looked at since we started."""
        found = (await self._cluster.list(FLUIDOS_CONTRACT, self._trade, labels=f"{NETWORK}={peer}")).items
        return any(not deleting(each) for each in found)

    # --- one half -----------------------------------------------------------------------------------------------------
    async def reconcile(self, peer: str) -> Result:
        """Bring one half one step on."""
        if self._unread():
            return Result(1.0)
        end, claims = self._followed.end(peer), self._claims.get(peer, {})
        good = [claim for claim in claims.values() if claim.contract not in self._refused]
        if good:
            first = oldest(good)
            serves, uses = any(each.serves for each in good), any(not each.serves for each in good)
            listens = halves.should_listen(end, first.facts, serves=serves, uses=uses)
            progress = halves.advance(end, first.facts, OWNER, self._settings, listens=listens)
        elif not claims and await self._needed(peer):
            return Result(LOOK_AGAIN)
        else:
            progress = halves.withdraw(end, OWNER)
        for write in progress.writes:
            await self._followed.write(write.op, MANAGER)
        self._tell(peer, progress)
        if progress.phase is LinkPhase.GONE:
            self._standings.pop(peer, None)
            return DONE
        return DONE if progress.phase is LinkPhase.CONNECTED else Result(LOOK_AGAIN)

    def _tell(self, peer: str, progress: LinkProgress) -> None:
        """Contracts look again when the half stands otherwise, or has something else to say."""
        before, facts = self._standings.get(peer), halves.facts_of(self._followed.end(peer))
        self._standings[peer] = progress
        same = before is not None and (before.phase, before.message) == (progress.phase, progress.message)
        if same and self._told.get(peer) == facts:
            return
        self._told[peer] = facts
        log.info("network to %s: %s (%s)", peer, progress.phase, progress.message)
        for contract in self._claims.get(peer, {}):
            self._call(contract)

    def _call(self, contract: str) -> None:
        for look in self._followers:
            look(contract)

    # --- what is seen -------------------------------------------------------------------------------------------------
    def _unread(self) -> str:
        """Why our own cluster is not known; it is followed from the first question on."""
        if not self._started:
            self._started = True
            self._followed.start()
            self._controller.start()
            self._tasks.append(asyncio.create_task(self._when_read(), name="slice networks are read"))
        if self._followed.synced:
            return ""
        trouble = self._followed.trouble
        return f"what {self._followed.name} has of Liqo is not known yet{f': {trouble}' if trouble else ''}"

    async def _when_read(self) -> None:
        await self._followed.wait_synced()
        self._changed("")

    def _hindrance(self) -> str:
        return self._unread() or halves.hindrance(self._followed.end(""), self._settings)

    @staticmethod
    def _is_ours(end: EndState) -> bool:
        return end.tenant_namespace is not None and labels_of(end.tenant_namespace).get(PATH) == OWNER

    def _changed(self, _name: str) -> None:
        """Something of Liqo's moved: which half it is of is not asked, as there are few."""
        for peer in {*self._claims, *self._standings}:
            self._controller.add(peer)
        if self._asked and not self._hindrance():
            asked, self._asked = self._asked, set()
            for contract in asked:
                self._call(contract)

    async def _find_left(self) -> None:
        """Look at the halves of an earlier process, needed or not; tried again until the cluster has answered."""
        labels, tries = f"{names.TENANT_NAMESPACE}=true,{PATH}={OWNER}", Backoff(base=1.0, cap=60.0)
        for attempt in range(1, 1_000_000):
            try:
                found = (await self._cluster.list(kinds.NAMESPACE, labels=labels)).items
                break
            except ApiError as error:
                log.info("what earlier slices left is not known yet: %s", error)
                await asyncio.sleep(tries.delay(attempt, random.Random(attempt)))
        if found:
            self._unread()
        for space in found:
            self._controller.add(labels_of(space).get(names.REMOTE_CLUSTER_ID, ""))


def oldest(claims: Iterable[Claim]) -> Claim:
    """The claim of the contract that was there first."""
    return min(claims, key=lambda claim: (claim.since, claim.contract))
