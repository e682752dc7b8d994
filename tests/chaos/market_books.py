"""What must be true of a market: at every moment, and once nothing moves any more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from continuo.edge.rear.names import BUYER, HOLDS, WITHDRAWN, allocation_name, secret_name
from continuo.edge.rear.wire import pick
from continuo.edge.relay.client import RelayClient
from continuo.embedded.port import StoredChange
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object, annotations_of, deleting

from .market_buyers import Office, Person
from .market_world import PROVIDER, World

Delivery = tuple[str, str]
"""(path of the endpoint, what the relay proves itself with)"""


class Witness:
    """Sees every write at the provider the moment it is made: nothing is ever sold twice, not even for that moment."""

    def __init__(self, world: World) -> None:
        self.crimes: list[str] = []
        self._contracts: dict[str, str] = {}
        world.api(PROVIDER).listen(kinds.FLAVOR, self._flavor)
        world.api(PROVIDER).listen(kinds.FLUIDOS_CONTRACT, self._contract)

    def _flavor(self, change: StoredChange) -> None:
        held = holds_of(change.object)
        if len(held) > 1:
            self.crimes.append(f"{change.object['metadata']['name']} has {len(held)} holds at a time: {held}")
        before = holds_of(change.previous) if change.previous is not None else {}
        for transaction, hold in before.items():
            if hold["contract"] and transaction in held and held[transaction] != hold:
                self.crimes.append(f"{transaction} was bought as {hold}, and then was {held[transaction]}")

    def _contract(self, change: StoredChange) -> None:
        flavor, name = flavor_of(change.object), change.object["metadata"]["name"]
        if change.type == "DELETED" or deleting(change.object):
            if self._contracts.get(flavor) == name:
                del self._contracts[flavor]
        elif self._contracts.setdefault(flavor, name) != name:
            self.crimes.append(f"{flavor} is sold by {name} while {self._contracts[flavor]} holds")


class Books:
    """Compares all that everybody has."""

    def __init__(self, world: World, relay: RelayClient, people: Sequence[Person], offices: Sequence[Office]) -> None:
        self.world, self.relay, self.people, self.offices = world, relay, people, offices
        self.due = 0
        """How many sensors should be sold now."""

    async def complaints(self) -> list[str]:
        """What is not as it has to be in the end; nothing: all is well."""
        found = [*self._sold(), *self._behind(), *self._told_people(), *self._told_offices()]
        return found or await self._routes()

    def sold(self) -> dict[str, Object]:
        """The provider's Contracts, by name."""
        return {each["metadata"]["name"]: each for each in self.world.objects(PROVIDER, kinds.FLUIDOS_CONTRACT)}

    def owners(self) -> dict[str, Delivery]:
        """By contract, as its buyer sees it: where its readings come."""
        found = {}
        for person in self.people:
            if person.contract:
                found[person.contract] = f"/{person.name}", f"Bearer {person.secret}" if person.secret else ""
        for office in self.offices:
            for solver, contract in office.bought().items():
                found[contract["metadata"]["name"]] = f"/{office.name}/{solver}", office.proof(solver)
        return found

    # --- the seller's ---------------------------------------------------------------------------------------------------
    def _sold(self) -> list[str]:
        """Each sensor has one contract and its hold, and nothing else is held, remembered or kept."""
        sold, flavors = self.sold(), self.world.flavors()
        found = [f"{name} is ending" for name, contract in sold.items() if deleting(contract)]
        counts = Counter(flavor_of(contract) for contract in sold.values())
        found += [f"{flavor} has {count} contracts" for flavor, count in counts.items() if count > 1]
        if len(sold) != self.due:
            free = [flavor for flavor in flavors if not counts[flavor]]
            found.append(f"{len(sold)} contracts are there, not {self.due}; not sold are {free}")
        wanted: dict[str, dict[str, Any]] = {flavor: {} for flavor in flavors}
        for name, contract in sold.items():
            hold = {"exclusive": True, "until": None, "contract": name}
            wanted[flavor_of(contract)] = {contract["spec"]["transactionID"]: hold}
        for name, flavor in flavors.items():
            if holds_of(flavor) != wanted[name]:
                found.append(f"{name} has the holds {holds_of(flavor)}, not {wanted[name]}")
            if flavor["spec"]["availability"] is bool(wanted[name]) or WITHDRAWN in annotations_of(flavor):
                found.append(f"{name} is available: {flavor['spec']['availability']}")
        transactions = {contract["spec"]["transactionID"] for contract in sold.values()}
        there = {each["metadata"]["name"] for each in self.world.objects(PROVIDER, kinds.TRANSACTION)}
        found += [f"transaction {each} is left" for each in there - transactions]
        found += [f"transaction {each} is missing" for each in transactions - there]
        return found

    def _behind(self) -> list[str]:
        """Secrets, Allocations, Rules and what CloudCore made of them are those of the contracts."""
        sold, world = self.sold(), self.world
        secrets = {
            secret_name(contract["spec"]["transactionID"]) for contract in sold.values()
            if "secretRef" in contract["spec"]["configuration"]["data"]
        }  # fmt: skip
        kept = {each["metadata"]["name"] for each in world.objects(PROVIDER, kinds.SECRET)}
        allocations = {
            each["metadata"]["name"]: (each.get("status") or {}).get("status")
            for each in world.objects(PROVIDER, kinds.ALLOCATION)
        }
        active = {allocation_name(flavor_of(each), each["spec"]["transactionID"]): "Active" for each in sold.values()}
        sources = {source_of(world.flavors()[flavor_of(each)]) for each in sold.values()}
        rules = Counter(
            (each["spec"]["sourceResource"]["node_name"], each["spec"]["sourceResource"]["topic"])
            for each in world.objects(PROVIDER, kinds.KUBEEDGE_RULE)
        )
        ends = {each["metadata"]["name"] for each in world.objects(PROVIDER, kinds.RULE_ENDPOINT)}
        cloud = world.cloud
        return [
            *_differs("secrets", kept, secrets), *_differs("allocations", allocations, active),
            *_differs("rules", dict(rules), dict.fromkeys(sources, 1)),
            *_differs("rule endpoints", ends, {"eventbus-fluidos", "rest-fluidos"} if sources else set()),
            *_differs("what CloudCore listens for", set(cloud.arms), sources),
            *_differs("what edge nodes send", cloud.subscribed, sources),
            *_differs("rules without endpoints", cloud.unfinished, []), *_differs("leaking rules", cloud.leaks, []),
        ]  # fmt: skip

    async def _routes(self) -> list[str]:
        try:
            return _differs("routes", set(await self.relay.routes()), set(self.sold()))
        except ApiError as error:
            return [str(error)]

    # --- the buyers' --------------------------------------------------------------------------------------------------
    def _told_people(self) -> list[str]:
        """Who was told that it bought has the contract at the seller, and the seller has no other for people."""
        told = {person.contract: (person.name, person.flavor) for person in self.people if person.contract}
        there = {
            name: (contract["spec"]["buyer"]["nodeID"], flavor_of(contract)) for name, contract in self.sold().items()
            if contract["spec"]["buyer"]["domain"] == "people.eu"
        }  # fmt: skip
        wrong = [
            f"{name} was proved to be bought by {annotations_of(contract).get(BUYER)}"
            for name, contract in self.sold().items()
            if annotations_of(contract).get(BUYER) != _principal(contract)
        ]
        return [*wrong, *_differs("what people bought", there, told)]

    def _told_offices(self) -> list[str]:
        """Both clusters of a contract know it, and its Solver does."""
        found = []
        for office in self.offices:
            bought, phases = office.bought(), office.phases()
            names = {contract["metadata"]["name"] for contract in bought.values()}
            sold = {n for n, each in self.sold().items() if each["spec"]["buyer"]["nodeID"] == office.name}
            found += _differs(f"what {office.name} bought", names, sold)
            found += [f"{contract['metadata']['name']} ends" for contract in bought.values() if deleting(contract)]
            solved = {solver for solver, (word, _) in phases.items() if word == "Solved"}
            found += _differs(f"{office.name}'s happy Solvers", solved, set(bought))
            found += [
                f"{office.name}/{solver} is {word}: {text}" for solver, (word, text) in phases.items()
                if word not in ("Solved", "Failed")
            ]  # fmt: skip
            kept = self.world.objects(office.name, kinds.TRANSACTION)
            of = {each["spec"]["transactionID"] for each in bought.values()}
            missing = of - {each["metadata"]["name"] for each in kept}
            found += [f"{office.name} has no transaction {each}" for each in missing]
        return found

    async def confirmed(self) -> None:
        """The seller says of every contract that its buyer has it, and that its path is there."""
        for name in self.owners():
            said = await self.world.seller.contract(name)
            assert pick(said, "contractID") == name
            assert said["status"]["allocation"] == "Active", said["status"]


def holds_of(flavor: Object) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(annotations_of(flavor).get(HOLDS, "{}"))
    return found


def flavor_of(contract: Object) -> str:
    return str(contract["spec"]["flavor"]["metadata"]["name"])


def source_of(flavor: Object) -> tuple[str, str]:
    """The edge node and the topic of its readings."""
    where = flavor["spec"]["flavorType"]["typeData"]["characteristics"]["access"]["resource"]
    return where["node"], where["topic"]


def uid_of(flavor: Object) -> str:
    return str(flavor["spec"]["flavorType"]["typeData"]["characteristics"]["uid"])


def _principal(contract: Object) -> str:
    buyer = contract["spec"]["buyer"]
    return f"node:{buyer['domain']}/{buyer['nodeID']}"


def _differs(what: str, there: Any, wanted: Any) -> list[str]:
    if there == wanted:
        return []
    if isinstance(there, set | dict):
        more, less = there.keys() - wanted.keys() if isinstance(there, dict) else there - wanted, ()
        less = wanted.keys() - there.keys() if isinstance(there, dict) else wanted - there
        if more or less:
            return [f"{what}: {len(more)} too many {sorted(more)[:3]}, {len(less)} missing {sorted(less)[:3]}"]
    return [f"{what} are {there}, not {wanted}"]
