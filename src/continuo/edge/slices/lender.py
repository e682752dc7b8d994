"""The seller's part of a K8Slice: a namespace for each contract, bounded by what was bought, and credentials for it.

When the contract ends, what the credentials may do goes first, and the account that they are of: its tokens are void then.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from continuo.edge.rear.times import seconds, stamp
from continuo.edge.slices import terms
from continuo.edge.slices.access import LIFE, kubeconfig
from continuo.edge.slices.letters import Letters
from continuo.edge.slices.networks import Networks
from continuo.edge.slices.terms import BUYER, MANAGER
from continuo.kube.access import Access
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, ApiError, BadRequest, Forbidden, NotFound
from continuo.resources.kinds import ALLOCATION, FLUIDOS_CONTRACT
from continuo.resources.meta import Object, deleting

log = logging.getLogger(__name__)

LOOK = 300.0
"""Seconds between two looks at whether a slice is as it was bought: somebody may have changed it."""


class SliceLender:
    """Implements Lender in the seller's cluster. `server`: how buyers reach its API server, where not as we do."""

    def __init__(
        self, cluster: Cluster, access: Access, *, clock: Callable[[], float], server: str | None = None,
        networks: Networks | None = None,
    ) -> None:  # fmt: skip
        self._cluster, self._access, self._clock = cluster, access, clock
        self._server = (server or access.server).rstrip("/")
        self._networks, self._letters = networks, Letters(cluster, "seller", self._heard)
        self._contract_in: dict[str, str] = {}
        self._look: Callable[[str], None] = lambda _contract: None
        if networks is not None:
            networks.follow(lambda contract: self._look(contract))

    def follow(self, look: Callable[[str], None]) -> None:
        """Call back with a contract whose network is doing otherwise, or whose buyer has told something."""
        self._look = look

    async def close(self) -> None:
        """Listen to buyers no more; everything stays."""
        await self._letters.close()

    async def lend(self, contract: Object, allocation: Object | None) -> float | None:
        """Let there be the namespace and all in it."""
        try:
            made = await self._made(contract)
        except ApiError as error:
            hint = f"; {terms.RIGHTS}" if isinstance(error, Forbidden) else ""
            await self._say(allocation, "Error", f"the slice cannot be lent: {error}{hint}")
            raise
        space = terms.space_there(contract)
        if made:
            way = await self._network(contract, space)
            lent = f"{terms.plainly(terms.amounts(contract))} lent in namespace {space}"
            await self._say(allocation, "Active", f"{lent}; {way}" if way else lent)
        else:
            await self._say(allocation, "Error", f"somebody else has a namespace {space}: it is waited for to go")
        return LOOK if made else 5.0

    async def take_back(self, contract: Object) -> bool:
        """Take it all away; whether nothing is left."""
        self._contract_in.pop(terms.space_there(contract), None)
        gone = await self._space_gone(contract)
        still = await self._networks.leave(contract) if self._networks is not None else ""
        return gone and not still

    async def _space_gone(self, contract: Object) -> bool:
        name = terms.space_there(contract)
        try:
            space = await self._cluster.get(kinds.NAMESPACE, name)
        except NotFound:
            return True
        if not terms.is_lent(space, contract):
            return True
        for kind in (kinds.ROLE_BINDING, kinds.SERVICE_ACCOUNT):
            with contextlib.suppress(NotFound):  # void already
                await self._cluster.delete(kind, BUYER, name)
        if not deleting(space):
            await self._cluster.delete(kinds.NAMESPACE, name, uid=space["metadata"]["uid"])
        return False

    # --- the network --------------------------------------------------------------------------------------------------
    def _heard(self, space: str) -> None:
        if (contract := self._contract_in.get(space)) is not None:
            self._look(contract)

    async def _network(self, contract: Object, space: str) -> str:
        """Tell the buyer of our half and make it as its word asks; how it is. Never in the way of the slice."""
        if self._networks is None:
            return ""
        self._contract_in[space] = contract["metadata"]["name"]
        try:
            await self._letters.start()
            heard = self._letters.heard(space)
            own = self._networks.own(contract, heard.cluster if heard is not None else "")
            await self._letters.tell(space, own)
            if heard is not None:
                return await self._networks.join(contract, heard, serves=True)
        except BadRequest as error:
            await self._networks.leave(contract)
            return f"no network: {error}"
        except ApiError as error:
            log.warning("the network for contract %s: %s", contract["metadata"]["name"], error)
            return f"no network: {error}"
        return (
            f"no network: {own.trouble}" if own.trouble else "no network until the buyer says what its cluster is like"
        )

    async def credentials(self, contract: Object) -> str:
        """A kubeconfig that is good for an hour; empty before the slice is lent, and once the contract ends."""
        until = seconds(contract["spec"].get("expirationTime"))
        if not terms.is_slice(contract) or deleting(contract) or (until is not None and until <= self._clock()):
            return ""
        name = terms.space_there(contract)
        asked: Object = {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": LIFE},
        }  # fmt: skip
        try:
            if not terms.is_lent(await self._cluster.get(kinds.NAMESPACE, name), contract):
                return ""
            made = await self._cluster.post(kinds.SERVICE_ACCOUNT, BUYER, "token", asked, name)
        except NotFound:
            return ""
        seller = str(contract["spec"]["seller"].get("nodeID") or "seller")
        return kubeconfig(self._access, self._server, seller, name, BUYER, made["status"]["token"])

    async def _made(self, contract: Object) -> bool:
        """Whether it is there now; False: somebody else has a namespace of that name."""
        nodes = (await self._cluster.list(kinds.NODE)).items
        there = {name for node in nodes for name in (node.get("status") or {}).get("allocatable") or ()}
        space, *inside = terms.lent(contract, there)
        try:
            found = await self._cluster.get(kinds.NAMESPACE, space["metadata"]["name"])
        except NotFound:
            if not await self._holds(contract):
                return True  # it has ended meanwhile, and that is seen to elsewhere
            try:
                found = await self._cluster.create(space, manager=MANAGER)
            except AlreadyExists:
                found = await self._cluster.get(kinds.NAMESPACE, space["metadata"]["name"])
        if not terms.is_lent(found, contract) or deleting(found):
            return False
        for obj in inside:
            await self._cluster.apply(obj, manager=MANAGER)
        return True

    async def _holds(self, contract: Object) -> bool:
        """Whether the contract is there still: nothing is made for one that somebody has wound up."""
        meta = contract["metadata"]
        try:
            live = await self._cluster.get(FLUIDOS_CONTRACT, meta["name"], meta["namespace"])
        except NotFound:
            return False
        return live["metadata"]["uid"] == meta["uid"] and not deleting(live)

    async def _say(self, allocation: Object | None, state: str, text: str) -> None:
        """How it is, on the Allocation, where that is something new."""
        said = (allocation or {}).get("status") or {}
        if allocation is None or deleting(allocation) or (said.get("status"), said.get("message")) == (state, text):
            return
        meta = allocation["metadata"]
        told = {"status": state, "message": text[:1000], "lastUpdateTime": stamp(self._clock())}
        with contextlib.suppress(NotFound):
            await self._cluster.patch(
                ALLOCATION, meta["name"], {"status": told}, meta["namespace"], subresource="status", manager=MANAGER
            )
