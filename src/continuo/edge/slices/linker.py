"""The buyer's part of a K8Slice: a virtual node of exactly the size that was bought, behind which the seller's cluster is.

One home namespace goes to one slice, whole: that which the Solver names, or one that is made for the contract and ends with
it. Nothing is remembered but in objects; credentials are asked for anew by whoever takes over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from continuo.edge.node import NodeIdentity
from continuo.edge.rear.client import RearClient
from continuo.edge.rear.wire import pick
from continuo.edge.slices import home, terms
from continuo.edge.slices.access import read, refreshing
from continuo.edge.slices.confined import Confined
from continuo.edge.slices.letters import Letters
from continuo.edge.slices.networks import Networks
from continuo.federation import plans
from continuo.federation.halves import Facts
from continuo.federation.reflection.bound import Bought
from continuo.federation.reflection.engine import Settings
from continuo.federation.reflection.fleet import Fleet, Key, Peer
from continuo.kube.access import Access
from continuo.kube.client import KubeCluster
from continuo.kube.port import Cluster
from continuo.kube.transport import Transports
from continuo.resources.errors import ApiError, BadRequest, Forbidden
from continuo.resources.meta import Object

log = logging.getLogger(__name__)


class NotYet(Exception):
    """The seller has handed over nothing yet; `str()` is a sentence."""


@dataclass(slots=True)
class Entered:
    """A slice that is entered."""

    client: KubeCluster
    space: str
    """The namespace at home."""
    there: str
    """The namespace at the seller's."""
    letters: Letters
    moved: bool = False
    """Whether the seller's API server is another one by now."""


class SliceLinker:
    """Implements Linker in the buyer's cluster."""

    def __init__(
        self, cluster: Cluster, node: NodeIdentity, *, trade: str, fleet: Fleet | None = None,
        networks: Networks | None = None,
    ) -> None:  # fmt: skip
        self._home, self._node, self._trade = cluster, node, trade
        self._fleet = fleet or Fleet()
        self._fleet.add_cluster(cluster)
        self._fleet.follow(self._changed)
        self._transports = Transports()
        self._entered: dict[str, Entered] = {}
        self._contract_of: dict[Key, str] = {}
        self._look: Callable[[str], None] = lambda _contract: None
        self._networks = networks
        if networks is not None:
            networks.follow(lambda contract: self._look(contract))

    def follow(self, look: Callable[[str], None]) -> None:
        """Call back with a contract whose node is doing otherwise."""
        self._look = look

    async def link(self, contract: Object, seller: RearClient) -> tuple[str, str]:
        """Let there be the node; how it is."""
        name = contract["metadata"]["name"]
        try:
            space = await home.ensure(self._home, contract, self._trade)
        except Forbidden as error:
            return "Error", f"there can be no node for the slice: {error}; {terms.RIGHTS}"
        except BadRequest as error:
            return "Error", str(error)
        try:
            await self._enter(contract, seller, space)
        except BadRequest as error:
            return "Error", str(error)
        except NotYet as error:
            return "Peering", str(error)
        way, facts = await self._network(contract, self._entered[name])
        bought, peer = terms.amounts(contract), self._peer(contract, space, facts)
        self._contract_of[peer.key] = name
        await self._fleet.put(peer, plans.node_offer(bought))
        standing = self._fleet.standing(*peer.key)
        node = peer.settings.node
        if standing is None or not standing.ready:
            return "Peering", f"node {node}: {(standing.why if standing is not None else '') or 'it begins'}"
        way = way or await home.way(self._home, self._seller_id(contract))
        return "Active", f"node {node}: {terms.plainly(bought)} for pods of namespace {space}; {way}"

    async def unlink(self, contract: Object) -> str:
        """Take node, pods and the namespace made for it away; the seller takes back its part with the contract."""
        await self._leave(contract["metadata"]["name"])
        left = await home.sweep(self._home, contract)
        still = await self._networks.leave(contract) if self._networks is not None else ""
        return left or still

    async def close(self) -> None:
        """Link no more; everything stays."""
        await self._fleet.close()
        entered, self._entered = list(self._entered.values()), {}
        for each in entered:
            await each.letters.close()
            await each.client.close()
        await self._transports.close()

    # --- one slice ----------------------------------------------------------------------------------------------------
    def _changed(self, key: Key) -> None:
        contract = self._contract_of.get(key)
        if contract is not None:
            self._look(contract)

    async def _enter(self, contract: Object, seller: RearClient, space: str) -> None:
        name = contract["metadata"]["name"]
        entered = self._entered.get(name)
        if entered is not None and entered.space == space and not entered.moved:
            return

        async def ask() -> Access:
            return await _handed(seller, name)

        def moved() -> None:
            made.moved = True
            self._look(name)

        access = await refreshing(await ask(), ask, moved)
        await self._leave(name)
        client = KubeCluster(terms.node_of(contract), access, transports=self._transports)
        letters = Letters(client, "buyer", lambda _space: self._look(name), access.namespace)
        made = Entered(client, space, access.namespace, letters)
        identity = terms.remote_identity(contract, seller.url)
        self._fleet.add_cluster(Confined(client, client.name, access.namespace, space, identity))
        self._entered[name] = made

    async def _leave(self, name: str) -> None:
        """Reflect no more."""
        entered = self._entered.pop(name, None)
        if entered is not None:
            await entered.letters.close()
            await self._fleet.remove_cluster(entered.client.name)
            await entered.client.close()
        self._contract_of = {key: each for key, each in self._contract_of.items() if each != name}

    async def _network(self, contract: Object, entered: Entered) -> tuple[str, Facts | None]:
        """Tell the seller of our half and make it as its word asks; how it is, and what it says. Never in the slice's way."""
        if self._networks is None:
            return "", None
        try:
            await entered.letters.start()
            heard = entered.letters.heard(entered.there)
            if heard is None:
                return "no network: the seller says nothing of one", None
            if not heard.trouble:
                await entered.letters.tell(entered.there, self._networks.own(contract, heard.cluster))
            return await self._networks.join(contract, heard, serves=False), heard
        except BadRequest as error:
            await self._networks.leave(contract)
            return f"no network: {error}", None
        except ApiError as error:
            log.warning("the network for contract %s: %s", contract["metadata"]["name"], error)
            return f"no network: {error}", None

    def _peer(self, contract: Object, space: str, facts: Facts | None) -> Peer:
        """The node; addresses are translated once the seller says how it sees our pods."""
        node = terms.node_of(contract)
        met = facts if facts is not None and facts.sees else None
        own = self._networks.cluster if self._networks is not None and met is not None else ""
        settings = Settings(
            node, frozenset({space}), home_id=own or self._node.liqo_id or None,
            remote_id=(met.cluster if met is not None else self._seller_id(contract)) or None,
            home_pods=met.sees if met is not None else None, labels=terms.node_labels(contract),
            bought=Bought(contract["metadata"]["name"], plans.node_offer(terms.amounts(contract))),
        )  # fmt: skip
        return Peer(self._home.name, node, settings)

    @staticmethod
    def _seller_id(contract: Object) -> str:
        return str((contract["spec"].get("peeringTargetCredentials") or {}).get("liqoID") or "")


async def _handed(seller: RearClient, contract: str) -> Access:
    """What the seller hands over; raises NotYet, BadRequest, Refusal, Unreachable."""
    answer = await seller.contract(contract)
    handed = pick(pick(answer, "peeringTargetCredentials") or {}, "kubeconfig")
    if not handed or not isinstance(handed, str):
        raise NotYet(f"{seller.url} has not handed over a way into the slice yet")
    return read(handed)
