"""Finishing a purchase once the hold is permanent: whoever comes first, the request or the keeper after a crash."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from continuo.edge.node import NodeIdentity
from continuo.edge.rear import slices
from continuo.edge.rear.names import K8SLICE, REST_OF
from continuo.edge.rear.seller import deeds
from continuo.edge.rear.seller.books import Books
from continuo.edge.rear.seller.merging import REST
from continuo.edge.rear.seller.writes import Writes
from continuo.resources.kinds import FLAVOR, TRANSACTION
from continuo.resources.meta import Object, annotations_of, labels_of


class Closing:
    """Makes Contract and Allocation of a Transaction."""

    def __init__(
        self, books: Books, writes: Writes, node: NodeIdentity, clock: Callable[[], float], lifetime: float
    ) -> None:
        self._books, self._writes, self._node = books, writes, node
        self._clock, self._lifetime = clock, lifetime

    @staticmethod
    def bought(flavor: Object, transaction: Object, patch: Object) -> Object:
        """The write that sells a flavor; of a K8Slice it also cuts off what was not bought."""
        configuration = transaction["spec"].get("configuration") or {}
        if flavor["spec"]["flavorType"]["typeIdentifier"] != K8SLICE or slices.whole(flavor, configuration["data"]):
            return patch
        left = slices.rest(flavor, configuration["data"])
        if left is None:
            return patch
        told = {"transaction": transaction["metadata"]["name"], "amounts": left}
        patch["metadata"]["annotations"][REST] = msgspec.json.encode(told).decode()
        patch.setdefault("spec", {})["flavorType"] = {"typeData": slices.resizing(configuration["data"])}
        return patch

    async def complete(self, transaction: Object, flavor: Object) -> Object:
        """Let there be all that follows from a purchase; returns the Contract."""
        flavor = await self.offer_rest(flavor)
        until = self._clock() + self._lifetime
        contract = await self._writes.make(deeds.contract(transaction, flavor, self._node, until))
        await self.allocate(contract)
        if deeds.phase_of(transaction) != "Solved":
            said = deeds.phase("Solved", f"bought: contract {contract['metadata']['name']}", self._clock(), transaction)
            await self._writes.patch(TRANSACTION, transaction, {"status": {"phase": said}}, status=True)
        return contract

    async def allocate(self, contract: Object) -> Object:
        """Let there be the Contract's Allocation."""
        return await self._writes.make(deeds.allocation(contract))

    async def offer_rest(self, flavor: Object) -> Object:
        """Let a flavor of its own offer what was cut off. The note of it goes last, so that it is offered once."""
        text = annotations_of(flavor).get(REST)
        if text is None:
            return flavor
        told = msgspec.json.decode(text, type=dict[str, str | dict[str, str]])
        amounts, transaction = told["amounts"], str(told["transaction"])
        assert isinstance(amounts, dict)
        spec = {
            **flavor["spec"], "availability": True,
            "flavorType": {**flavor["spec"]["flavorType"], "typeData": slices.resized(flavor, amounts)},
        }  # fmt: skip
        origin = annotations_of(flavor).get(REST_OF) or flavor["metadata"]["name"]
        about = {"labels": labels_of(flavor), "annotations": {REST_OF: origin}}
        owners = flavor["metadata"].get("ownerReferences")
        about |= {"ownerReferences": owners} if owners else {}
        name = slices.rest_name(flavor, transaction)
        await self._writes.make(FLAVOR.new(name, flavor["metadata"]["namespace"], metadata=about, spec=spec))
        return await self._writes.change(flavor["metadata"]["name"], _without_note)


def _without_note(flavor: Object) -> Object | None:
    return {"metadata": {"annotations": {REST: None}}} if REST in annotations_of(flavor) else None
