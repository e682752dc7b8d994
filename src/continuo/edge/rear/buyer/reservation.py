"""Reservations: a flavor is reserved at its seller, then bought. Both are asked again until there is an answer."""

from __future__ import annotations

import logging
from typing import Any

from continuo.edge.node import BUYER, SIDE
from continuo.edge.rear import names, wire
from continuo.edge.rear.buyer import phases
from continuo.edge.rear.buyer.desk import ADDRESS, FLAVOR, Desk, owner, reference
from continuo.edge.rear.client import RearClient, Sellers
from continuo.edge.rear.names import FINALIZER, K8SLICE
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.wire import BadWire, pick
from continuo.resources.errors import ApiError, BadRequest, NotFound, Unreachable
from continuo.resources.kinds import FLUIDOS_CONTRACT, PEERING_CANDIDATE, RESERVATION, SOLVER, TRANSACTION
from continuo.resources.meta import Object, annotations_of, deleting
from continuo.runtime.controller import DONE, Result

log = logging.getLogger(__name__)
TAKEN = (404, 409)
"""Answers after which another candidate is to be tried."""


class Reservations:
    """The controller of Reservations."""

    def __init__(self, desk: Desk, sellers: Sellers) -> None:
        self._desk, self._sellers = desk, sellers

    async def reconcile(self, name: str) -> Result:
        """Take the next step of a reservation."""
        found = self._desk.get(RESERVATION, name)
        if found is None:
            return DONE
        if deleting(found):
            return await self._end(found)
        if phases.word(found) in (phases.SOLVED, phases.FAILED):
            return DONE
        spec, status = found["spec"], found.get("status") or {}
        try:
            if spec.get("reserve") and status.get("reservePhase") != phases.SOLVED:
                await self._reserve(found)
            elif spec.get("purchase") and status.get("purchasePhase") != phases.SOLVED:
                await self._purchase(found)
        except Refusal as refusal:
            await self._refused(found, refusal)
        except (BadRequest, BadWire, LookupError) as error:
            await self._fail(found, str(error))
        except Unreachable as error:
            said = phases.waiting(found, str(error), self._desk.clock())
            await self._desk.say(RESERVATION, found, {"phase": said})
            raise
        return DONE

    def _seller(self, found: Object) -> RearClient:
        """The gateway where the flavor was found, which need not be what the flavor says of its owner."""
        address = annotations_of(found).get(ADDRESS) or found["spec"]["seller"].get("ip") or ""
        if not address:
            raise BadRequest(
                f"Reservation {found['metadata']['name']} does not say where its seller is: spec.seller.ip"
            )
        return self._sellers.at(address)

    def _candidate(self, found: Object) -> Object | None:
        return self._desk.get(PEERING_CANDIDATE, (found["spec"].get("peeringCandidate") or {}).get("name") or "")

    # --- reserving ----------------------------------------------------------------------------------------------------
    async def _reserve(self, found: Object) -> None:
        desk, candidate = self._desk, self._candidate(found)
        if candidate is None:
            await self._fail(found, "its PeeringCandidate is gone")
            return
        held = await desk.finalizer(RESERVATION, found, FINALIZER, there=True)
        if held is None:
            return
        said = phases.begun(held, "reserving", desk.clock())
        held = await desk.say(RESERVATION, held, {"phase": said, "reservePhase": phases.RUNNING}) or held
        flavor = candidate["spec"]["flavor"]["metadata"]["name"]
        configuration = await self._configuration(held["spec"].get("configuration"))
        answer = await self._seller(held).reserve(flavor, desk.node, configuration)
        transaction = str(pick(answer, "transactionID")).lower()
        if not names.is_transaction(transaction):
            raise BadRequest(f"the seller answered with the transaction {transaction!r:.80}, which is no name")
        await self._note(held, transaction, answer, flavor)
        told = {"transactionID": transaction, "reservePhase": phases.SOLVED}
        await desk.say(RESERVATION, held, {**told, "phase": phases.begun(held, "reserved", desk.clock())})

    async def _configuration(self, configuration: Object | None) -> Object | None:
        """The configuration as it is sent: secrets that it refers to are put in for this one message."""
        data = (configuration or {}).get("data") or {}
        if configuration is None or not isinstance(data.get("endpoints"), list):
            return configuration
        endpoints = [await self._with_secret(entry) for entry in data["endpoints"]]
        return {**configuration, "data": {**data, "endpoints": endpoints}}

    async def _with_secret(self, entry: Any) -> Any:
        said = entry.get("authentication") if isinstance(entry, dict) else None
        refers = said.get("secretRef") if isinstance(said, dict) else None
        if not isinstance(said, dict) or not isinstance(refers, dict):
            return entry
        secret = await self._desk.secret(str(refers.get("name") or ""), str(refers.get("key") or "secret"))
        rest = {key: value for key, value in said.items() if key != "secretRef"}
        return {**entry, "authentication": {**rest, "secret": secret}}

    async def _note(self, found: Object, transaction: str, answer: Object, flavor: str) -> None:
        """The buyer's own Transaction: what was agreed, without secrets."""
        spec: Object = {
            "flavorID": flavor, "buyer": found["spec"]["buyer"], "clusterID": self._desk.node.liqo_id,
            "expirationTime": str(pick(answer, "expirationTime") or ""),
        }  # fmt: skip
        if found["spec"].get("configuration"):
            spec["configuration"] = found["spec"]["configuration"]
        about = {"labels": {SIDE: BUYER}, "ownerReferences": [owner(found)]}
        made = await self._desk.make(
            TRANSACTION, TRANSACTION.new(transaction, self._desk.namespace, metadata=about, spec=spec)
        )
        if made["spec"].get("expirationTime") != spec["expirationTime"]:
            await self._desk.patch(TRANSACTION, made, {"spec": {"expirationTime": spec["expirationTime"]}})

    # --- buying -------------------------------------------------------------------------------------------------------
    async def _purchase(self, found: Object) -> None:
        desk, transaction = self._desk, str((found.get("status") or {}).get("transactionID") or "")
        if not transaction:
            await self._again(found, "no transaction is known")
            return
        said = phases.begun(found, "buying", desk.clock())
        found = await desk.say(RESERVATION, found, {"phase": said, "purchasePhase": phases.RUNNING}) or found
        try:
            answer = await self._seller(found).purchase(transaction, desk.node.liqo_id)
        except Refusal as refusal:
            if refusal.status in (404, 408, 410):
                await self._again(found, str(refusal))
                raise Unreachable(f"reserving again, since {refusal}") from refusal
            raise
        contract = await self._contract(found, transaction, answer)
        told = {"contract": reference(contract), "purchasePhase": phases.SOLVED, "reservePhase": phases.SOLVED}
        text = f"bought: contract {contract['metadata']['name']}"
        await desk.say(RESERVATION, found, {**told, "phase": phases.phase(found, phases.SOLVED, text, desk.clock())})

    async def _again(self, found: Object, why: str) -> None:
        """The reservation has lapsed, or its seller has forgotten it: reserve once more."""
        said = phases.waiting(found, f"reserving again: {why}", self._desk.clock())
        told = {"reservePhase": phases.RUNNING, "purchasePhase": phases.IDLE, "transactionID": ""}
        await self._desk.say(RESERVATION, found, {"phase": said, **told})

    async def _contract(self, found: Object, transaction: str, answer: Object) -> Object:
        """The buyer's own Contract."""
        desk, name = self._desk, str(pick(answer, "contractID")).lower()
        if not names.is_name(name) or str(pick(answer, "transactionID")).lower() != transaction:
            raise BadRequest(f"the seller answered with the contract {name!r:.80}, which is not about {transaction}")
        flavor = wire.flavor_from(pick(answer, "flavor"))
        solver = desk.get(SOLVER, found["spec"].get("solverID", ""))
        kind, credentials = (
            flavor["spec"]["flavorType"]["typeIdentifier"],
            pick(answer, "peeringTargetCredentials") or {},
        )
        spec: Object = {
            "flavor": {"metadata": {"name": flavor["metadata"]["name"]}, "spec": flavor["spec"]},
            "transactionID": transaction, "buyer": found["spec"]["buyer"], "seller": found["spec"]["seller"],
            "buyerClusterID": desk.node.liqo_id, "expirationTime": str(pick(answer, "expirationTime") or ""),
            "extraInformation": {}, "peeringTargetCredentials": {},
        }  # fmt: skip
        if kind == K8SLICE:
            spec["peeringTargetCredentials"] = {"liqoID": str(pick(credentials, "clusterID", "liqoID") or "")}
        if found["spec"].get("configuration"):
            spec["configuration"] = found["spec"]["configuration"]
        address = annotations_of(found).get(ADDRESS) or found["spec"]["seller"].get("ip", "")
        about: Object = {"labels": {SIDE: BUYER}, "annotations": {ADDRESS: address}, "finalizers": [FINALIZER]}
        # A Solver that is gone owns it too: then it goes at once, and is cancelled.
        owners = [each for each in found["metadata"].get("ownerReferences") or () if each["kind"] == SOLVER.kind]
        if solver is not None and not owners:
            owners = [owner(solver)]
        about |= {"ownerReferences": owners} if owners else {}
        made = await desk.make(FLUIDOS_CONTRACT, FLUIDOS_CONTRACT.new(name, desk.namespace, metadata=about, spec=spec))
        if made["spec"]["transactionID"] != transaction:
            raise BadRequest(f"there is another Contract {name} here already: delete it, or buy something else")
        return made

    # --- failing and ending -------------------------------------------------------------------------------------------
    async def _refused(self, found: Object, refusal: Refusal) -> None:
        if refusal.status in (429,) or refusal.status >= 500:
            said = phases.waiting(found, str(refusal), self._desk.clock())
            await self._desk.say(RESERVATION, found, {"phase": said})
            raise Unreachable(str(refusal)) from refusal
        if refusal.status in TAKEN:
            candidate = self._candidate(found)
            if candidate is not None:  # first: by this the Solver knows that another one is to be tried
                await self._desk.patch(PEERING_CANDIDATE, candidate, {"spec": {"available": False}})
        await self._fail(found, str(refusal))

    async def _fail(self, found: Object, why: str) -> None:
        said = phases.phase(found, phases.FAILED, why, self._desk.clock())
        step = "purchasePhase" if (found.get("status") or {}).get("reservePhase") == phases.SOLVED else "reservePhase"
        await self._desk.say(RESERVATION, found, {"phase": said, step: phases.FAILED})

    async def _end(self, found: Object) -> Result:
        """What was reserved and not bought is given back."""
        if FINALIZER not in (found["metadata"].get("finalizers") or ()):
            return DONE
        try:
            await self._give_back(found)
        except ApiError as error:
            if phases.running_for(found, self._desk.clock()) < 3600.0:
                raise
            log.warning("%s: its reservation lapses by itself: %s", found["metadata"]["name"], error)
        await self._desk.finalizer(RESERVATION, found, FINALIZER, there=False)
        return DONE

    async def _give_back(self, found: Object) -> None:
        status = found.get("status") or {}
        if (status.get("contract") or {}).get("name"):
            return
        transaction = str(status.get("transactionID") or "")
        try:
            transaction = transaction or await self._unheard(found)
            if transaction:
                await self._seller(found).forgo(transaction)
        except Refusal as refusal:
            if refusal.status >= 500 or refusal.status == 429:
                raise Unreachable(str(refusal)) from refusal
            if transaction and refusal.status == 409:  # it was bought, and we died before we heard of it
                await self._cancel_unheard(found, transaction)

    async def _unheard(self, found: Object) -> str:
        """The transaction of a reservation whose answer was never heard: who asks the same gets the same. Empty: none."""
        flavor = annotations_of(found).get(FLAVOR)
        if not flavor or (found.get("status") or {}).get("reservePhase") != phases.RUNNING:
            return ""
        try:
            configuration = await self._configuration(found["spec"].get("configuration"))
        except LookupError as error:
            log.warning("%s: its reservation lapses by itself: %s", found["metadata"]["name"], error)
            return ""
        answer = await self._seller(found).reserve(flavor, self._desk.node, configuration)
        return str(pick(answer, "transactionID")).lower()

    async def _cancel_unheard(self, found: Object, transaction: str) -> None:
        """End a contract of which nothing was written down here; one that was ends as its owner does."""
        desk, flavor = self._desk, annotations_of(found).get(FLAVOR)
        try:
            if not flavor:
                noted = await desk.cluster.get(TRANSACTION, transaction, desk.namespace)
                flavor = str(noted["spec"]["flavorID"])
            await desk.cluster.get(FLUIDOS_CONTRACT, names.contract_name(flavor, transaction), desk.namespace)
        except NotFound:
            if flavor:
                await self._seller(found).cancel(names.contract_name(flavor, transaction))
