"""Contracts whose consumer gets a node: one peer of the fleet for each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from continuo.broker.contracts import remains, terms
from continuo.broker.contracts import status as words
from continuo.broker.contracts.case import Case
from continuo.broker.contracts.members import Members, shut
from continuo.broker.contracts.status import Word
from continuo.broker.contracts.terms import CONTRACT
from continuo.federation.reflection.bound import Bought
from continuo.federation.reflection.engine import Settings
from continuo.federation.reflection.fleet import Fleet, Peer, Standing
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import Mode
from continuo.resources.errors import NotFound
from continuo.resources.meta import Object, deleting
from continuo.runtime.cache import Cache

log = logging.getLogger(__name__)


class Links:
    """The peers of all contracts. `look` is told which contract is to be looked at again."""

    def __init__(self, fleet: Fleet, members: Members, contracts: Cache, look: Callable[[str], None]) -> None:
        self._fleet, self._members, self._contracts = fleet, members, contracts
        self._look = look
        self._peers: dict[str, Peer] = {}
        self._contract_of: dict[tuple[str, str], str] = {}
        fleet.follow(self._changed)

    def _changed(self, key: tuple[str, str]) -> None:
        contract = self._contract_of.get(key)
        if contract is not None:
            self._look(contract)

    async def link(self, case: Case) -> Word:
        """Let there be the node; returns how it is."""
        ends = self._ends(case)
        if isinstance(ends, str):
            return Word(False, words.UNREACHABLE, ends)
        home, wanted, offer = ends[0], self._peer(case), terms.node_offer(case.spec.resources)
        if (why := await self._taken(case, home, wanted)) is not None:
            return Word(False, words.NODE_TAKEN, why)
        before = self._peers.get(case.name)
        await self._put(case.name, wanted, offer)
        if before is not None and before.settings.bought != wanted.settings.bought:
            self._fleet.offer(*wanted.key, offer)
        standing = self._fleet.standing(*wanted.key)
        if standing is not None and standing.ready:
            return Word(
                True, words.LINKED, f"node {case.node} of {case.spec.consumer} stands for Provider {case.spec.provider}"
            )
        return Word(False, words.LINKING, (standing.why if standing is not None else "") or "it begins")

    async def unlink(self, case: Case) -> str:
        """Take the node away; returns what is still to be waited for."""
        ends = self._ends(case)
        if isinstance(ends, str):
            return await self._without_an_end(case, ends)
        home, remote = ends
        wanted = self._peer(case, detached=True)
        if await self._taken(case, home, wanted) is None:
            await self._put(case.name, wanted)
            standing = self._fleet.standing(*wanted.key)
            if standing is None or not standing.ready:
                return (standing.why if standing is not None else "") or "it is being taken away"
        if self._last_of_pair(case) and not await remains.sweep_spaces(remote, case.consumer_id):
            return f"namespaces of {case.spec.consumer} at Provider {case.spec.provider} are being deleted"
        return ""

    async def forget(self, contract: str) -> None:
        """A contract is over."""
        peer = self._peers.pop(contract, None)
        if peer is None:
            return
        self._contract_of.pop(peer.key, None)
        if self._mine(contract, self._fleet.standing(*peer.key)):
            await self._fleet.drop(*peer.key)

    # --- the peer of a contract ---------------------------------------------------------------------------------------
    def _ends(self, case: Case) -> tuple[Cluster, Cluster] | str:
        """Both clusters, or why there are not both."""
        spec = case.spec
        home, remote = self._members.client("Consumer", spec.consumer), self._members.client("Provider", spec.provider)
        names = self._members.name_of("Consumer", spec.consumer), self._members.name_of("Provider", spec.provider)
        if home is None or names[0] is None:
            return shut(self._members, "Consumer", spec.consumer)
        if remote is None or names[1] is None:
            return shut(self._members, "Provider", spec.provider)
        return home, remote

    def _peer(self, case: Case, *, detached: bool = False) -> Peer:
        spec = case.spec
        home, remote = (
            self._members.name_of("Consumer", spec.consumer),
            self._members.name_of("Provider", spec.provider),
        )
        assert home is not None and remote is not None
        settings = Settings(
            case.node, frozenset(), offload=True, naming="suffixed", home_id=case.consumer_id,
            remote_id=case.provider_id, labels=terms.node_labels(case.name, spec, case.region),
            bought=Bought(case.name, terms.node_offer(spec.resources)),
        )  # fmt: skip
        return Peer(home, remote, settings, detached)

    async def _put(self, contract: str, peer: Peer, offer: Mapping[str, str] | None = None) -> None:
        self._peers[contract], self._contract_of[peer.key] = peer, contract
        await self._fleet.put(peer, offer)

    # --- whose a node is ----------------------------------------------------------------------------------------------
    @staticmethod
    def _mine(contract: str, standing: Standing | None) -> bool:
        return standing is not None and standing.peer.settings.labels.get(CONTRACT) == contract

    async def _taken(self, case: Case, home: Cluster, peer: Peer) -> str | None:
        """Why the node is not this contract's to make or to take away; None when it is."""
        standing = self._fleet.standing(*peer.key)
        if self._mine(case.name, standing):
            return None
        says = f"Consumer {case.spec.consumer} has a node {case.node} already: name another one in spec.node"
        if standing is not None or self._elder(case):
            return says
        try:
            return None if terms.is_of(await home.get(kinds.NODE, case.node), case.name) else says
        except NotFound:
            return None

    def _elder(self, case: Case) -> bool:
        """Whether an older contract names the same node of the same consumer; the older one has it."""
        rivals = self._contracts.by_index("node", (case.spec.consumer, case.node))
        return any(_age(other) < _age(case.object) for other in rivals)

    def _last_of_pair(self, case: Case) -> bool:
        """Whether no other contract links the same two clusters."""
        others = self._contracts.by_index("pair", (case.spec.consumer, case.spec.provider))
        uid = case.object["metadata"]["uid"]
        live = [each for each in others if each["metadata"]["uid"] != uid and not deleting(each)]
        return all(_mode(each) == Mode.HANDED_OVER for each in live)

    # --- an end that is gone ------------------------------------------------------------------------------------------
    async def _without_an_end(self, case: Case, why: str) -> str:
        """What can be taken away where a cluster cannot be entered; if it only is away, it is waited for."""
        home = self._members.client("Consumer", case.spec.consumer)
        remote = self._members.client("Provider", case.spec.provider)
        home_gone = home is None and case.consumer is None
        remote_gone = remote is None and case.provider is None
        if (home is None and not home_gone) or (remote is None and not remote_gone):
            return why
        await self.forget(case.name)
        if home is not None and not await remains.sweep_home(home, case.node, case.name):
            return f"node {case.node} of {case.spec.consumer} is being deleted"
        if remote is not None:
            if not await remains.sweep_remote(remote, case.node, case.consumer_id):
                return f"what {case.spec.consumer} has at Provider {case.spec.provider} is being deleted"
            if self._last_of_pair(case) and not await remains.sweep_spaces(remote, case.consumer_id):
                return f"namespaces of {case.spec.consumer} at Provider {case.spec.provider} are being deleted"
        log.warning("contract %s ends without both clusters: %s", case.name, why)
        return ""


def _age(contract: Object) -> tuple[str, str]:
    return contract["metadata"]["creationTimestamp"], contract["metadata"]["name"]


def _mode(contract: Object) -> str | None:
    mode: str | None = (contract.get("status") or {}).get("mode")
    return mode
