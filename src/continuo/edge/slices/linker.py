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
from continuo.federation import plans
from continuo.federation.reflection.bound import Bought
from continuo.federation.reflection.engine import Settings
from continuo.federation.reflection.fleet import Fleet, Key, Peer
from continuo.kube.access import Access
from continuo.kube.client import KubeCluster
from continuo.kube.port import Cluster
from continuo.kube.transport import Transports
from continuo.resources.errors import BadRequest
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
    moved: bool = False
    """Whether the seller's API server is another one by now."""


class SliceLinker:
    """Implements Linker in the buyer's cluster."""

    def __init__(self, cluster: Cluster, node: NodeIdentity, *, trade: str, fleet: Fleet | None = None) -> None:
        self._home, self._node, self._trade = cluster, node, trade
        self._fleet = fleet or Fleet()
        self._fleet.add_cluster(cluster)
        self._fleet.follow(self._changed)
        self._transports = Transports()
        self._entered: dict[str, Entered] = {}
        self._contract_of: dict[Key, str] = {}
        self._look: Callable[[str], None] = lambda _contract: None

    def follow(self, look: Callable[[str], None]) -> None:
        """Call back with a contract whose node is doing otherwise."""
        self._look = look

    async def link(self, contract: Object, seller: RearClient) -> tuple[str, str]:
        """Let there be the node; how it is."""
        name = contract["metadata"]["name"]
        try:
            space = await home.ensure(self._home, contract, self._trade)
            await self._enter(contract, seller, space)
        except BadRequest as error:
            return "Error", str(error)
        except NotYet as error:
            return "Peering", str(error)
        bought, peer = terms.amounts(contract), self._peer(contract, space)
        self._contract_of[peer.key] = name
        await self._fleet.put(peer, plans.node_offer(bought))
        standing = self._fleet.standing(*peer.key)
        node = peer.settings.node
        if standing is None or not standing.ready:
            return "Peering", f"node {node}: {(standing.why if standing is not None else '') or 'it begins'}"
        way = await home.way(self._home, self._seller_id(contract))
        return "Active", f"node {node}: {terms.plainly(bought)} for pods of namespace {space}; {way}"

    async def unlink(self, contract: Object) -> str:
        """Take node, pods and the namespace made for it away; the seller takes back its part with the contract."""
        await self._leave(contract["metadata"]["name"])
        return await home.sweep(self._home, contract)

    async def close(self) -> None:
        """Link no more; everything stays."""
        await self._fleet.close()
        entered, self._entered = list(self._entered.values()), {}
        for each in entered:
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
        made = Entered(client, space)
        identity = terms.remote_identity(contract, seller.url)
        self._fleet.add_cluster(Confined(client, client.name, access.namespace, space, identity))
        self._entered[name] = made

    async def _leave(self, name: str) -> None:
        """Reflect no more."""
        entered = self._entered.pop(name, None)
        if entered is not None:
            await self._fleet.remove_cluster(entered.client.name)
            await entered.client.close()
        self._contract_of = {key: each for key, each in self._contract_of.items() if each != name}

    def _peer(self, contract: Object, space: str) -> Peer:
        node = terms.node_of(contract)
        settings = Settings(
            node, frozenset({space}), home_id=self._node.liqo_id or None,
            remote_id=self._seller_id(contract) or None, labels=terms.node_labels(contract),
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
