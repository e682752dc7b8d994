"""What a seller does for a buyer: reserve, buy, cancel. Everything that it knows afterwards is in objects.

The order of writes is what makes it safe to be killed anywhere:

    reserve   the Secret, then the hold on the Flavor, then the Transaction: what is alone lapses with the hold's time
    purchase  the hold becomes permanent (this write decides), then Contract, Allocation: the keeper makes what is missing
    cancel    the Contract is deleted; its finalizer holds it until the hold is off, so that a hold without a Contract is
              always a purchase that is to be finished
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from continuo.edge.node import SELLER, SIDE, NodeIdentity
from continuo.edge.rear import holds, names, slices
from continuo.edge.rear.holds import Hold
from continuo.edge.rear.names import BUYER, K8SLICE, SENSOR, contract_name
from continuo.edge.rear.refusals import Refusal, bad
from continuo.edge.rear.requests import PurchaseRequest, ReserveRequest
from continuo.edge.rear.seller import deeds
from continuo.edge.rear.seller.books import Books
from continuo.edge.rear.seller.closing import Closing
from continuo.edge.rear.seller.merging import Merging
from continuo.edge.rear.seller.writes import Writes
from continuo.edge.rear.terms import SensorTerms, check_rate, sensor_terms
from continuo.edge.rear.times import seconds, stamp
from continuo.edge.sensors.model import BadSensor, Sensor
from continuo.edge.sensors.reading import sensor_of_flavor
from continuo.resources.kinds import FLUIDOS_CONTRACT, SECRET, TRANSACTION
from continuo.resources.meta import Object, annotations_of, deleting, labels_of

Egress = Callable[[str], Awaitable[None]]
"""Whether readings may be sent to a URL; raises ValueError with a sentence, OSError where that cannot be said now."""
HOUR, YEAR = 3600.0, 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that makes sense, with all that follows from it."""

    transaction: str
    flavors: tuple[str, ...]
    exclusive: bool
    configuration: Object | None
    terms: SensorTerms | None


class Market:
    """Sells the flavors of one cluster. `peer` is the identity that a buyer has proved; None only where nobody has to."""

    def __init__(
        self, books: Books, writes: Writes, node: NodeIdentity, closing: Closing, *, egress: Egress,
        clock: Callable[[], float], expiry: float = HOUR,
    ) -> None:  # fmt: skip
        self.books, self._writes, self.node, self._closing = books, writes, node, closing
        self._egress, self._clock, self._expiry = egress, clock, expiry
        self._merging = Merging(books, writes)

    # --- reserving ----------------------------------------------------------------------------------------------------
    async def reserve(self, request: ReserveRequest, peer: str | None) -> Object:
        """The Transaction; the same one, for longer, if the same is asked for again. Raises Refusal."""
        flavor = await self.books.live_flavor(request.flavor) if names.is_name(request.flavor) else None
        if flavor is None:
            raise Refusal(404, "flavor-unknown", f"there is no flavor {request.flavor:.120} here, or it is gone")
        who = _principal(request.buyer, peer)
        wanted = self._understood(flavor, request, who)
        async with self._writes.turn(wanted.transaction):
            if (bought := await self._bought(wanted, peer)) is not None:
                return bought
            until = await self._held(wanted)
            return await self._record(wanted, request.buyer, who, until)

    async def _held(self, wanted: Wanted) -> float:
        """Hold what is wanted; until when. Whoever is refused leaves no Secret here."""
        terms, secret = wanted.terms, names.secret_name(wanted.transaction)
        kept = self.books.secret(secret) is not None
        try:
            self._free(wanted)
            if terms is not None:
                await self._check_egress(terms)
            until = self._clock() + self._expiry
            if terms is not None and terms.secrets:
                kept = True
                contents = dict(terms.secrets)
                await self._writes.keep_secret(deeds.secret(wanted.transaction, self.books.namespace, contents, until))
            await self._hold(wanted, until)
            return until
        except Refusal:
            if kept and not await self._holds(wanted):
                await self._writes.remove(SECRET, secret, self.books.namespace)
            raise

    async def _holds(self, wanted: Wanted) -> bool:
        """Whether it has something already, as one has that is renewed."""
        flavors = [await self.books.live_flavor(name) for name in wanted.flavors]
        return any(flavor is not None and wanted.transaction in holds.read(flavor) for flavor in flavors)

    def _understood(self, flavor: Object, request: ReserveRequest, who: str) -> Wanted:
        kind = flavor["spec"]["flavorType"]["typeIdentifier"]
        name: str = flavor["metadata"]["name"]
        if kind == K8SLICE:
            amounts = slices.wanted(request.configuration, flavor)
            configuration = {"type": K8SLICE, "data": amounts}
            return Wanted(names.transaction_id(who, flavor, amounts), (name,), True, configuration, None)
        if kind != SENSOR:
            raise slices.refuse_type(kind)
        terms = sensor_terms(request.configuration)
        flavors = (name, *self._others(flavor, terms))
        transaction = names.transaction_id(who, flavor, terms.data)
        stored = terms.stored(names.secret_name(transaction))
        return Wanted(transaction, flavors, terms.exclusive, stored, terms)

    def _others(self, flavor: Object, terms: SensorTerms) -> list[str]:
        """The other flavors of the same device that are asked for with this one."""
        own = _sensor(flavor)
        check_rate(terms, flavor, own.sampling_rate)
        if not terms.sensors:
            return []
        if own.uid not in terms.sensors:
            raise bad(f"configuration.data.sensors must name {own.uid} too, which is the flavor's own sensor")
        device, space = labels_of(flavor).get(names.DEVICE), flavor["metadata"]["namespace"]
        around = self.books.of_device(space, device) if device else []
        siblings = {_sensor(each).uid: each for each in around}
        found = []
        for uid in terms.sensors:
            if uid != own.uid:
                if uid not in siblings:
                    raise bad(f"configuration.data.sensors names {uid!r:.80}, which the flavor's device does not have")
                check_rate(terms, siblings[uid], _sensor(siblings[uid]).sampling_rate)
                found.append(siblings[uid]["metadata"]["name"])
        return sorted(found)

    async def _bought(self, wanted: Wanted, peer: str | None) -> Object | None:
        """The Transaction that was bought before; it cannot be renewed any more, and need not be."""
        contract = await self.books.live_contract(contract_name(wanted.flavors[0], wanted.transaction))
        if contract is None:
            return None
        _may(contract, peer, "contract")
        if deleting(contract):
            name = contract["metadata"]["name"]
            raise Refusal(
                409, "ending", f"contract {name} for the same is ending: ask again when it has", retry_after=2
            )
        return await self.books.live_transaction(wanted.transaction)

    def _free(self, wanted: Wanted) -> None:
        """Refuse from what is known, before anything is written or resolved; the write decides."""
        for name in wanted.flavors:
            flavor = self.books.flavor(name)
            if flavor is not None:
                holds.check(flavor, wanted.transaction, wanted.exclusive, self._clock())

    async def _check_egress(self, terms: SensorTerms) -> None:
        async def one(number: int, url: str) -> None:
            where = f"configuration.data.endpoints[{number}]"
            try:
                await self._egress(url)
            except ValueError as error:
                raise Refusal(400, "endpoint-refused", f"{where}: {error}") from error
            except (OSError, TimeoutError) as error:
                said = f"{where}: nobody says now what its host's name means: {error}"
                raise Refusal(503, "endpoint-unknown", said, retry_after=5) from error

        await asyncio.gather(*(one(number, url) for number, url in enumerate(terms.urls)))

    async def _hold(self, wanted: Wanted, until: float) -> None:
        """Hold all flavors or none; in one order for everybody, so that two buyers never wait for each other."""
        primary, taken = wanted.flavors[0], []
        try:
            for name in sorted(wanted.flavors):
                hold = Hold(wanted.exclusive, until, "", "" if name == primary else primary)

                def decide(flavor: Object, hold: Hold = hold) -> Object | None:
                    kept = holds.check(flavor, wanted.transaction, wanted.exclusive, self._clock())
                    before = kept.get(wanted.transaction)
                    if before is not None and before.contract:
                        return None  # it is being bought at this moment
                    return holds.patch(flavor, {**kept, wanted.transaction: hold})

                await self._writes.change(name, decide)
                taken.append(name)
        except Refusal:
            for name in taken:
                await self._writes.release(name, wanted.transaction, lambda hold: not hold.contract)
            raise

    async def _record(self, wanted: Wanted, buyer: NodeIdentity, who: str, until: float) -> Object:
        new = deeds.transaction(
            wanted.transaction, self.books.namespace, wanted.flavors, buyer, who, wanted.configuration, until
        )
        for _ in range(3):  # an old one may be swept away while it is being renewed
            made = await self._writes.make(new)
            if made["spec"].get("expirationTime") == new["spec"]["expirationTime"]:
                break
            renewed = {"expirationTime": stamp(until), "configuration": wanted.configuration}
            made = await self._writes.patch(TRANSACTION, made, {"spec": renewed})
        if deeds.phase_of(made) != "Active":
            said = deeds.phase("Active", "reserved: buy it before it expires", self._clock())
            made = await self._writes.patch(TRANSACTION, made, {"status": {"phase": said}}, status=True)
        return made

    # --- buying -------------------------------------------------------------------------------------------------------
    async def purchase(self, transaction: str, peer: str | None, request: PurchaseRequest) -> Object:
        """The Contract; the same one however often it is asked for. Raises Refusal."""
        found = await self.transaction(transaction, peer)
        name = contract_name(found["spec"]["flavorID"], found["metadata"]["name"])
        contract = await self.books.live_contract(name)
        if contract is not None:
            if deleting(contract):
                raise Refusal(409, "ending", f"contract {name} was cancelled, and is ending")
            if contract["spec"]["transactionID"] != found["metadata"]["name"]:
                raise Refusal(
                    409, "name-taken", f"there is another contract {name}: reserve with another configuration"
                )
            return contract
        found = await self._note(found, request)
        first, *others = deeds.flavors_of(found)
        for each in (*others, first):  # the flavor that was asked for decides, so it comes last
            bought = await self._writes.change(each, lambda flavor: self._sold(flavor, found, name))
        return await self._closing.complete(found, bought)

    def _sold(self, flavor: Object, transaction: Object, contract: str) -> Object | None:
        own, now = transaction["metadata"]["name"], self._clock()
        found = holds.read(flavor)
        hold = found.get(own)
        if hold is not None and hold.contract:
            return None
        if hold is None or hold.lapsed(now):
            when = transaction["spec"].get("expirationTime", "")
            raise Refusal(
                408, "transaction-expired",
                f"transaction {own} has expired{f' ({when})' if when else ''}: reserve the flavor again",
            )  # fmt: skip
        permanent = replace(hold, until=None, contract=contract)
        return self._closing.bought(flavor, transaction, holds.patch(flavor, {**found, own: permanent}))

    async def _note(self, transaction: Object, request: PurchaseRequest) -> Object:
        """Write down what the buyer says with the purchase, so that whoever finishes it knows."""
        said: Object = {}
        if request.cluster_id and request.cluster_id != transaction["spec"].get("clusterID"):
            said["clusterID"] = request.cluster_id
        if request.telemetry and request.telemetry != transaction["spec"].get("ingressTelemetryEndpoint"):
            said["ingressTelemetryEndpoint"] = request.telemetry
        return await self._writes.patch(TRANSACTION, transaction, {"spec": said}) if said else transaction

    # --- asking and ending --------------------------------------------------------------------------------------------
    async def transaction(self, name: str, peer: str | None) -> Object:
        """A Transaction of that buyer; raises Refusal."""
        found = await self.books.live_transaction(name.lower()) if names.is_transaction(name.lower()) else None
        if found is None or labels_of(found).get(SIDE) != SELLER:
            raise Refusal(
                404, "transaction-unknown", f"there is no transaction {name:.120} here: reserve a flavor first"
            )
        _may(found, peer, "transaction")
        return found

    def expired(self, transaction: Object) -> bool:
        """Whether it can no longer be bought."""
        until = seconds(transaction["spec"].get("expirationTime"))
        bought = self.books.contract_of(transaction["metadata"]["name"]) is not None
        return not bought and until is not None and until <= self._clock()

    async def contract(self, name: str, peer: str | None) -> Object:
        """A Contract of that buyer; raises Refusal."""
        found = await self.books.live_contract(name.lower()) if names.is_name(name.lower()) else None
        if found is None or labels_of(found).get(SIDE) != SELLER:
            raise Refusal(404, "contract-unknown", f"there is no contract {name:.120} here, or it has ended")
        _may(found, peer, "contract")
        return found

    async def cancel(self, name: str, peer: str | None) -> Object:
        """End a contract; what it made goes, and then the contract does. Returns it as it was."""
        found = await self.contract(name, peer)
        if not deleting(found):
            meta = found["metadata"]
            await self._writes.remove(FLUIDOS_CONTRACT, meta["name"], meta["namespace"], uid=meta["uid"])
        return found

    async def forgo(self, transaction: str, peer: str | None) -> None:
        """Give a reservation up; raises Refusal (409) if it was bought."""
        found = await self.transaction(transaction, peer)
        own = found["metadata"]["name"]
        flavors = deeds.flavors_of(found)
        async with self._writes.turn(own):
            for name in flavors:
                await self._writes.release(name, own, lambda hold: not hold.contract)
                await self._merging.tidy(name)
            live = await self.books.live_flavor(flavors[0])
            if live is not None and own in holds.read(live):
                contract = contract_name(flavors[0], own)
                raise Refusal(409, "bought", f"transaction {own} is bought: cancel contract {contract} instead")
            await self._writes.remove(SECRET, names.secret_name(own), self.books.namespace)
            await self._writes.remove(TRANSACTION, own, self.books.namespace, uid=found["metadata"]["uid"])


def _sensor(flavor: Object) -> Sensor:
    try:
        return sensor_of_flavor(flavor)
    except BadSensor as error:
        name = flavor["metadata"]["name"]
        raise Refusal(409, "flavor-broken", f"flavor {name} cannot be sold: its {error.where} {error}") from error


def _principal(buyer: NodeIdentity, peer: str | None) -> str:
    """Who a buyer is: what was proved, else what he says."""
    return peer if peer is not None else f"node:{buyer.domain}/{buyer.node_id}"


def _may(obj: Object, peer: str | None, what: str) -> None:
    """That it is the buyer's own; raises Refusal. Without identities, whoever knows the name of a thing may have it."""
    who = annotations_of(obj).get(BUYER, "")
    if peer is None and not who.startswith("spiffe://"):
        return
    if who != peer:
        name = obj["metadata"]["name"]
        raise Refusal(403, "not-yours", f"{what} {name} belongs to another buyer than {peer or 'one without identity'}")
