"""Solvers: one wish, brought all the way by making the objects that others work on."""

from __future__ import annotations

import contextlib

import msgspec

from continuo.edge.node import BUYER, SIDE
from continuo.edge.rear import names, slices
from continuo.edge.rear.buyer import phases
from continuo.edge.rear.buyer.desk import ADDRESS, CANDIDATE, FLAVOR, Desk, owner, reference
from continuo.edge.rear.buyer.discovery import criteria_of
from continuo.edge.rear.buyer.solving import Next, View, decide
from continuo.edge.rear.names import K8SLICE
from continuo.edge.sensors.index import matches_flavor
from continuo.edge.sensors.model import BadFilter
from continuo.federation.quantities import canonical, quantity
from continuo.resources.errors import BadRequest
from continuo.resources.kinds import ALLOCATION, DISCOVERY, FLUIDOS_CONTRACT, PEERING_CANDIDATE, RESERVATION, SOLVER
from continuo.resources.meta import Object, annotations_of, deleting
from continuo.runtime.controller import DONE, Result

CONFIGURATION = "rear.continuo.dev/configuration"
"""Annotation of a Solver, for clusters whose Solvers have no field `spec.configuration`: the same as JSON."""
ATTEMPTS = "rear.continuo.dev/attempts"


class Solvers:
    """The controller of Solvers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._choosing: dict[str, tuple[str, Object | None]] = {}
        """What a Solver is about to reserve: the candidate's name and the configuration."""

    async def reconcile(self, name: str) -> Result:
        """Take the next step of a Solver."""
        try:
            return await self._step(name)
        finally:
            self._choosing.pop(name, None)

    async def _step(self, name: str) -> Result:
        desk, solver = self._desk, self._desk.get(SOLVER, name)
        if solver is None or deleting(solver):
            return DONE  # what it made goes with it
        try:
            wanted = decide(self._view(solver))
            configuration = self._configuration(solver, wanted.candidate)
            if wanted.action == "reserve" and wanted.candidate is not None:
                self._choosing[name] = wanted.candidate["metadata"]["name"], configuration
        except (BadFilter, BadRequest) as error:
            said = phases.phase(solver, phases.FAILED, str(error), desk.clock(), "solverPhase")
            await desk.say(SOLVER, solver, {"solverPhase": said})
            return DONE
        told = await desk.say(SOLVER, solver, wanted.status)
        if told is not None:
            await self._act(told, wanted, configuration)
        running = wanted.status["solverPhase"]["phase"] == phases.RUNNING
        return Result(phases.SOLVING + 1.0) if running else DONE

    def _view(self, solver: Object) -> View:
        desk, name = self._desk, solver["metadata"]["name"]
        criteria = criteria_of(solver["spec"].get("selector"))
        fitting = [each for each in desk.cache(PEERING_CANDIDATE) if matches_flavor(criteria, _flavor_of(each))]
        known = (each for each in fitting if each["spec"].get("available") and not self._is_ours(solver, each))
        free = sorted(known, key=lambda each: str(each["metadata"]["name"]))
        reservation = desk.get(RESERVATION, f"reservation-{name}")
        chosen = ((reservation or {}).get("spec") or {}).get("peeringCandidate") or {}
        bought = ((reservation or {}).get("status") or {}).get("contract") or {}
        contract = desk.get(FLUIDOS_CONTRACT, str(bought.get("name") or ""))
        return View(
            solver, free, len(fitting), desk.get(DISCOVERY, f"discovery-{name}"), reservation,
            desk.get(PEERING_CANDIDATE, str(chosen.get("name") or "")), contract,
            desk.get(ALLOCATION, allocation_of(contract)) if contract is not None else None,
            int(annotations_of(solver).get(ATTEMPTS) or 1), desk.clock(),
        )  # fmt: skip

    def _is_ours(self, solver: Object, candidate: Object) -> bool:
        """Whether another Solver here has of it what this one would ask for: it would get the same contract, not a second."""
        name, own = candidate["metadata"]["name"], solver["metadata"]["name"]
        said: list[Object | None] = [
            found["spec"].get("configuration")
            for found in self._desk.cache(RESERVATION).by_index(CANDIDATE, name)
            if found["spec"].get("solverID") != own and phases.word(found) != phases.FAILED
        ]
        said += [terms for who, (what, terms) in self._choosing.items() if who != own and what == name]
        if not said:
            return False
        wanted = self._configuration(solver, candidate)
        return _excludes(wanted) or any(_excludes(terms) or terms == wanted for terms in said)

    async def _act(self, solver: Object, wanted: Next, configuration: Object | None) -> None:
        desk, name = self._desk, solver["metadata"]["name"]
        if wanted.action == "discover":
            spec = {"solverID": name, "selector": solver["spec"].get("selector") or {"flavorType": "Sensor"}}
            spec["subscribe"] = bool(solver["spec"].get("subscribe"))
            about = {"ownerReferences": [owner(solver)]}
            await desk.make(DISCOVERY, DISCOVERY.new(f"discovery-{name}", desk.namespace, metadata=about, spec=spec))
        elif wanted.action == "reserve" and wanted.candidate is not None:
            await self._reserve(solver, wanted.candidate, configuration)
        elif wanted.action == "try-another":
            tried = int(annotations_of(solver).get(ATTEMPTS) or 1) + 1
            counted = await desk.patch(SOLVER, solver, {"metadata": {"annotations": {ATTEMPTS: str(tried)}}})
            reservation = desk.get(RESERVATION, f"reservation-{name}")
            if counted is not None and reservation is not None:
                await desk.remove(RESERVATION, reservation)
        elif wanted.action == "allocate":
            await self._allocate(solver)

    async def _reserve(self, solver: Object, candidate: Object, configuration: Object | None) -> None:
        desk, name = self._desk, solver["metadata"]["name"]
        seller = candidate["spec"]["flavor"]["spec"]["owner"]
        spec: Object = {
            "solverID": name, "buyer": desk.node.to_object(), "seller": seller, "reserve": True, "purchase": True,
            "peeringCandidate": reference(candidate),
        }  # fmt: skip
        if configuration is not None:
            spec["configuration"] = configuration
        notes = {FLAVOR: candidate["spec"]["flavor"]["metadata"]["name"]}
        if address := annotations_of(candidate).get(ADDRESS):
            notes[ADDRESS] = address
        about = {"ownerReferences": [owner(solver)], "annotations": notes}
        await desk.make(RESERVATION, RESERVATION.new(f"reservation-{name}", desk.namespace, metadata=about, spec=spec))

    async def _allocate(self, solver: Object) -> None:
        desk = self._desk
        reservation = desk.get(RESERVATION, f"reservation-{solver['metadata']['name']}") or {}
        bought = (reservation.get("status") or {}).get("contract") or {}
        contract = desk.get(FLUIDOS_CONTRACT, str(bought.get("name") or ""))
        if contract is None:
            return
        about = {"labels": {SIDE: BUYER}, "ownerReferences": [owner(contract)]}
        spec = {"forwarding": False, "contract": reference(contract)}
        await desk.make(ALLOCATION, ALLOCATION.new(allocation_of(contract), desk.namespace, metadata=about, spec=spec))

    @staticmethod
    def _configuration(solver: Object, candidate: Object | None) -> Object | None:
        """What is asked of the flavor: as the Solver says, else, of a K8Slice, what its filters ask for at least."""
        said = solver["spec"].get("configuration")
        text = annotations_of(solver).get(CONFIGURATION)
        if said is None and text:
            try:
                said = msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise BadRequest(f"the annotation {CONFIGURATION} is no JSON: {error}") from error
        if said is not None:
            kind = names.type_of(said.get("type")) if isinstance(said, dict) else None
            if kind is None or not isinstance(said.get("data"), dict):
                raise BadRequest("spec.configuration must have a type (Sensor or K8Slice) and an object data")
            return {"type": kind, "data": said["data"]}
        if candidate is not None and candidate["spec"]["flavor"]["spec"]["flavorType"]["typeIdentifier"] == K8SLICE:
            return least(solver["spec"].get("selector") or {}, _flavor_of(candidate))
        return None


def _excludes(configuration: Object | None) -> bool:
    """Whether nobody else can have the flavor on such terms; a K8Slice's part becomes a flavor of its own."""
    said = configuration or {}
    return names.type_of(said.get("type")) == K8SLICE or bool((said.get("data") or {}).get("exclusive"))


def allocation_of(contract: Object) -> str:
    """The name of a contract's Allocation."""
    spec = contract["spec"]
    return names.allocation_name(spec["flavor"]["metadata"]["name"], spec["transactionID"])


def _flavor_of(candidate: Object) -> Object:
    flavor = candidate["spec"]["flavor"]
    about = {"namespace": candidate["metadata"]["namespace"], **(flavor.get("metadata") or {})}
    return {**flavor, "metadata": about}


def least(selector: Object, flavor: Object) -> Object | None:
    """The smallest part of a K8Slice that meets the filters and that the flavor can be divided into; None: all of it."""
    has, filters = slices.amounts_of(flavor), selector.get("filters") or {}
    rules = ((flavor["spec"]["flavorType"]["typeData"].get("policies")) or {}).get("partitionability") or {}
    data: Object = {}
    for name in slices.NEEDED:
        if name not in has:
            return None
        data[name] = _least(name, has[name], filters.get(f"{name}Filter") or {}, rules)
    return {"type": K8SLICE, "data": data}


def _least(name: str, has: str, asked: Object, rules: Object) -> str:
    said = asked.get("data") or {}
    wanted, bottom, step = said.get("value", said.get("min")), rules.get(f"{name}Min"), rules.get(f"{name}Step")
    with contextlib.suppress(ValueError):
        amount, low = quantity(str(wanted or bottom or has)), quantity(str(bottom or 0))
        amount = max(amount, low)
        if step and (size := quantity(str(step))) and (over := (amount - low) % size):
            amount += size - over
        return canonical(name, min(amount, quantity(has)))
    return has
