"""The catalog's port to clusters: a purchase becomes a Contract object, whose controller delivers it.

The buyer's account is the Consumer of that name, the seller's the Provider. The catalog needs no way into other clusters for
that; only credentials of a handed-over namespace it asks from the provider, with the kubeconfig that the Provider names.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from continuo.broker.catalog.peering import Access, Link, PeeringRefused, PeeringUnavailable
from continuo.broker.contracts import handover, terms
from continuo.broker.contracts.case import Case, read
from continuo.broker.contracts.followed import Followed, find, identity_of, spec_of
from continuo.broker.contracts.status import REFUSALS
from continuo.broker.contracts.terms import MANAGER
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import CONSUMER, CONTRACT, PROVIDER, Mode, SecretRef
from continuo.resources.errors import ApiError, Expired, Invalid, NotFound
from continuo.resources.meta import Kind, Object, condition, deleting, is_true

if TYPE_CHECKING:
    from continuo.broker.catalog.contracts import Contract

log = logging.getLogger(__name__)


class ClusterPeering:
    """Implements `broker.catalog.peering.Peering` in the broker's cluster."""

    def __init__(
        self,
        broker: Cluster,
        *,
        within: float = 30.0,
        life: int = handover.LONGEST,
        enter: Callable[[str], KubeCluster] = connect,
    ) -> None:
        self._broker, self._within, self._life, self._enter = broker, within, life, enter
        self._place = ""

    async def link(self, contract: Contract) -> Link:
        """Let there be the object, and wait until it is delivered; raises PeeringRefused where it never will be."""
        spec = spec_of(contract)
        for kind, name in ((CONSUMER, contract.buyer), (PROVIDER, contract.provider)):
            if await self._find(kind, name) is None:
                raise PeeringRefused(declare(kind.kind, name))
        try:
            await self._broker.apply(CONTRACT.new(contract.id, spec=spec), manager=MANAGER)
        except Invalid as error:
            raise PeeringRefused(f"the contract cannot be delivered: {error}") from error
        made = await self._until(contract.id, lambda obj: obj is None or _settled(obj), "delivered")
        if made is None:
            raise NotFound(f"Contract {contract.id} was deleted while it was being delivered")
        ready = condition(made, "Ready") or {}
        if not is_true(made, "Ready"):
            raise PeeringRefused(str(ready.get("message") or ready.get("reason")))
        linked = (made.get("status") or {}).get("mode") == Mode.LINKED
        self._place = self._place or await identity_of(self._broker)
        return Link("linked" if linked else "handed-over", str(ready.get("message") or ""), self._place)

    def follow(self, look: Callable[[str | None], None]) -> Followed:
        """The Contract objects, as the catalog follows them."""
        return Followed(self._broker, look)

    async def unlink(self, contract: Contract) -> None:
        """Delete the object, and wait until nothing of it is left."""
        try:
            await self._broker.delete(CONTRACT, contract.id)
        except NotFound:
            return
        await self._until(contract.id, lambda obj: obj is None, "taken away")

    async def credentials(self, contract: Contract, *, rotate: bool) -> Access | None:
        """A kubeconfig of the namespace at the provider, good for a day at most."""
        try:
            async with asyncio.timeout(self._within):
                return await self._credentials(contract, rotate)
        except (ApiError, TimeoutError) as error:
            log.warning("contract %s: no credentials of %s: %s", contract.id, contract.provider, error)
            raise PeeringUnavailable(
                f"the provider {contract.provider} does not hand out credentials now; ask again later"
            ) from error

    # --- credentials --------------------------------------------------------------------------------------------------
    async def _credentials(self, contract: Contract, rotate: bool) -> Access | None:
        case = await self._case(contract)
        if case.mode is not Mode.HANDED_OVER:
            return None
        if deleting(case.object) or not is_true(case.object, "Ready") or case.provider is None:
            raise PeeringUnavailable(f"the contract {contract.id} is not delivered now; ask again later")
        if case.provider.kubeconfig is None:
            raise PeeringUnavailable(f"the broker cannot enter the provider {contract.provider} now; ask again later")
        client = self._enter(await self._kubeconfig(case.provider.kubeconfig))
        try:
            if rotate:
                await handover.void_tokens(client, contract.id, case.consumer_id)
            made = await handover.make_token(client, contract.id, self._life)
            namespace = terms.namespace_of(contract.id)
            text = handover.kubeconfig(client.access, contract.provider, namespace, made.token)
            return Access(text, namespace, made.expires)
        finally:
            await client.close()

    async def _case(self, contract: Contract) -> Case:
        found, provider, consumer = await asyncio.gather(
            self._broker.get(CONTRACT, contract.id), self._find(PROVIDER, contract.provider),
            self._find(CONSUMER, contract.buyer),
        )  # fmt: skip
        return read(found, provider, consumer)

    async def _kubeconfig(self, ref: SecretRef) -> str:
        secret = await self._broker.get(kinds.SECRET, ref.name, ref.namespace)
        try:
            return base64.b64decode(secret["data"][ref.key], validate=True).decode()
        except (KeyError, TypeError, binascii.Error, UnicodeDecodeError):
            raise Invalid(f"Secret {ref.namespace}/{ref.name} must hold a kubeconfig under the key {ref.key}") from None

    # --- objects ------------------------------------------------------------------------------------------------------
    async def _find(self, kind: Kind, name: str) -> Object | None:
        return await find(self._broker, kind, name)

    async def _until(self, name: str, test: Callable[[Object | None], bool], what: str) -> Object | None:
        """The object once the test holds of it; None: it is gone. Raises PeeringUnavailable when that takes long."""
        seen: Object | None = None
        try:
            async with asyncio.timeout(self._within):
                while True:
                    try:
                        seen = await self._follow(name, test)
                        return seen
                    except (Expired, _Ended):
                        continue
        except TimeoutError:
            said = condition(await self._find(CONTRACT, name) or {}, "Ready") or {}
            why = said.get("message") or "nobody has looked at it; `continuo broker serve` does"
            log.warning("contract %s is not %s yet: %s", name, what, why)
            raise PeeringUnavailable(f"the contract is not {what} yet; it is tried again") from None

    async def _follow(self, name: str, test: Callable[[Object | None], bool]) -> Object | None:
        listing = await self._broker.list(CONTRACT, fields=f"metadata.name={name}")
        found = listing.items[0] if listing.items else None
        if test(found):
            return found
        stream = self._broker.watch(CONTRACT, since=listing.resource_version, fields=f"metadata.name={name}")
        async for change in stream:
            if change.type != "BOOKMARK":
                found = None if change.type == "DELETED" else change.object
                if test(found):
                    return found
        raise _Ended


class _Ended(Exception):
    """The server ended the watch, as it does every few minutes."""


def _settled(contract: Object) -> bool:
    ready = condition(contract, "Ready")
    return ready is not None and (ready["status"] == "True" or ready["reason"] in REFUSALS)


def declare(party: str, name: str) -> str:
    """What is to be done where a party is missing."""
    return (
        f"there is no {party} {name} in the broker's cluster: declare it there, with `kubectl apply` of a {party} "
        "of that name, and buy again"
    )
