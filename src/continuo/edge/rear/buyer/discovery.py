"""Discoveries: every known seller is asked at once, and each of its flavors that fits becomes a PeeringCandidate."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from continuo.edge.rear import names
from continuo.edge.rear.buyer import phases
from continuo.edge.rear.buyer.desk import ADDRESS, Desk, owner
from continuo.edge.rear.client import Offered, Sellers
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.times import seconds
from continuo.edge.sensors.criteria import Criteria
from continuo.edge.sensors.filters import from_selector
from continuo.edge.sensors.index import matches_flavor
from continuo.edge.sensors.model import BadFilter
from continuo.edge.sensors.query import to_query
from continuo.resources.errors import ApiError, Unreachable
from continuo.resources.kinds import DISCOVERY, KNOWN_CLUSTER, PEERING_CANDIDATE
from continuo.resources.meta import Object, annotations_of, deleting
from continuo.runtime.controller import DONE, Result

log = logging.getLogger(__name__)
AT_ONCE = 32
PATIENCE = 15.0
"""Seconds that a seller has to answer; who does not holds nobody else up."""
MOST = 500
"""Candidates that one discovery makes."""
SUBSCRIBED = "rear.continuo.dev/refresh"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a seller said, or why it said nothing."""

    address: str
    offered: Offered | None
    why: str = ""


def criteria_of(selector: Object | None) -> Criteria:
    """What a selector asks for; raises BadFilter."""
    selector = selector or {}
    kind = names.type_of(selector.get("flavorType", names.SENSOR)) or str(selector.get("flavorType"))
    return from_selector(kind, selector.get("filters"))


class Discoveries:
    """The controller of Discoveries."""

    def __init__(self, desk: Desk, sellers: Sellers, refresh: float = 60.0) -> None:
        self._desk, self._sellers, self._refresh = desk, sellers, refresh
        self._anew: set[str] = set()

    def again(self, discovery: Object) -> None:
        """There is a seller more: what found nothing may find something now."""
        self._anew.add(discovery["metadata"]["name"])

    async def reconcile(self, name: str) -> Result:
        """Ask, unless it was asked before and nobody subscribed."""
        desk, found = self._desk, self._desk.get(DISCOVERY, name)
        if found is None or deleting(found):
            return DONE
        subscribed = bool(found["spec"].get("subscribe"))
        done = phases.word(found) in (phases.SOLVED, phases.FAILED)
        anew = name in self._anew and phases.word(found) == phases.FAILED
        self._anew.discard(name)
        if done and not subscribed and not anew:
            return DONE
        if done and not anew and (left := self._left(found)) > 0:
            return Result(left)
        try:
            criteria = criteria_of(found["spec"].get("selector"))
        except BadFilter as error:
            await desk.say(DISCOVERY, found, {"phase": phases.phase(found, phases.FAILED, str(error), desk.clock())})
            return DONE
        if not done:
            said = phases.begun(found, "asking the known sellers", desk.clock())
            found = await desk.say(DISCOVERY, found, {"phase": said}) or found
        heard = await self._ask(criteria)
        return await self._conclude(found, criteria, heard, subscribed)

    def _left(self, found: Object) -> float:
        """Seconds until a subscribed one is refreshed."""
        told = annotations_of(found).get(SUBSCRIBED)
        at = seconds(told) or seconds(((found.get("status") or {}).get("phase") or {}).get("endTime")) or 0.0
        return at + self._refresh - self._desk.clock()

    # --- asking -------------------------------------------------------------------------------------------------------
    def _addresses(self) -> list[str]:
        """The gateways of all known clusters but ourselves whose announcement has not expired."""
        found, now = [], self._desk.clock()
        for cluster in self._desk.cache(KNOWN_CLUSTER):
            until = seconds((cluster.get("status") or {}).get("expirationTime"))
            address = str(cluster["spec"].get("address") or "")
            if address and address != self._desk.node.address and (until is None or until > now):
                found.append(address)
        return sorted(set(found))

    async def _ask(self, criteria: Criteria) -> list[Heard]:
        slots, pairs = asyncio.Semaphore(AT_ONCE), to_query(criteria).pairs

        async def one(address: str) -> Heard:
            async with slots:
                try:
                    async with asyncio.timeout(PATIENCE):
                        return Heard(address, await self._listed(address, criteria.flavor_type, pairs))
                except (ApiError, Refusal) as error:
                    return Heard(address, None, str(error))
                except TimeoutError:
                    return Heard(address, None, f"{address} took more than {PATIENCE:g} s to answer")
                except Exception as error:  # one seller never spoils what the others said
                    log.exception("seller %s", address)
                    return Heard(address, None, f"{address}: {type(error).__name__}")

        return list(await asyncio.gather(*(one(address) for address in self._addresses())))

    async def _listed(self, address: str, kind: str, pairs: tuple[tuple[str, str], ...]) -> Offered:
        """What fits; a seller that does not know our filters, or that path, is asked for everything."""
        seller = self._sellers.at(address)
        try:
            return await seller.flavors(kind, pairs)
        except Refusal as refusal:
            if refusal.status not in (400, 404):
                raise
        return await seller.flavors()

    # --- concluding ---------------------------------------------------------------------------------------------------
    async def _conclude(self, found: Object, criteria: Criteria, heard: list[Heard], subscribed: bool) -> Result:
        desk, fitting, skipped = self._desk, 0, 0
        listed: list[Object] = []
        for answer in heard:
            if answer.offered is None:
                continue
            skipped += len(answer.offered.skipped)
            matching = [each for each in answer.offered.flavors if matches_flavor(criteria, each)]
            for flavor in matching[: max(0, MOST - fitting)]:
                candidate = await self._candidate(found, flavor, answer.address)
                listed.append({"metadata": {"name": candidate["metadata"]["name"], "namespace": desk.namespace}})
            fitting += len(matching)
            await self._missing(found, answer, {flavor["metadata"]["name"] for flavor in matching})
        text = _summary(heard, fitting, skipped)
        silent = [each for each in heard if each.offered is None]
        if not fitting and silent:
            said = phases.waiting(found, text, desk.clock())
            await desk.say(DISCOVERY, found, {"phase": said})
            raise Unreachable(text)
        word = phases.SOLVED if fitting else phases.FAILED
        status = {"phase": phases.phase(found, word, text, desk.clock()), "peeringCandidateList": {"items": listed}}
        written = await desk.say(DISCOVERY, found, status)
        if written is None or not subscribed:
            return DONE
        await desk.patch(DISCOVERY, written, {"metadata": {"annotations": {SUBSCRIBED: desk.now()}}})
        return Result(self._refresh)

    async def _candidate(self, discovery: Object, flavor: Object, address: str) -> Object:
        """Let there be the candidate as the seller offers it now."""
        desk, name = self._desk, names.candidate_name(flavor["metadata"]["name"])
        known = desk.get(PEERING_CANDIDATE, name)
        if known is not None and annotations_of(known).get(ADDRESS, address) != address:
            name = names.candidate_name(flavor["metadata"]["name"], address)
            known = desk.get(PEERING_CANDIDATE, name)
        about = {"metadata": {"name": flavor["metadata"]["name"], "namespace": desk.namespace}, "spec": flavor["spec"]}
        available = bool(flavor["spec"]["availability"])
        solver = discovery["spec"]["solverID"]
        if known is None:
            interested = {"interestedSolverIDs": [solver], "available": available, "flavor": about}
            meta = {"annotations": {ADDRESS: address}, "ownerReferences": [owner(discovery)]}
            new = PEERING_CANDIDATE.new(name, desk.namespace, metadata=meta, spec=interested)
            return await desk.make(PEERING_CANDIDATE, new)
        spec = known["spec"]
        solvers = spec.get("interestedSolverIDs") or []
        told = {"available": available, "flavor": about}
        told |= {"interestedSolverIDs": [*solvers, solver]} if solver not in solvers else {}
        if any(spec.get(key) != value for key, value in told.items()):
            owners = known["metadata"].get("ownerReferences") or []
            mine = owner(discovery)
            meta = {} if any(each["uid"] == mine["uid"] for each in owners) else {"ownerReferences": [*owners, mine]}
            return await desk.patch(PEERING_CANDIDATE, known, {"spec": told, "metadata": meta}) or known
        return known

    async def _missing(self, discovery: Object, answer: Heard, there: set[str]) -> None:
        """What a seller does not offer any more cannot be had."""
        solver = discovery["spec"]["solverID"]
        for known in list(self._desk.cache(PEERING_CANDIDATE)):
            spec = known["spec"]
            if annotations_of(known).get(ADDRESS) != answer.address or not spec.get("available"):
                continue
            if solver in (spec.get("interestedSolverIDs") or ()) and spec["flavor"]["metadata"]["name"] not in there:
                await self._desk.patch(PEERING_CANDIDATE, known, {"spec": {"available": False}})


def _summary(heard: list[Heard], fitting: int, skipped: int) -> str:
    if not heard:
        return "no seller is known: make a KnownCluster with the address of its gateway"
    silent = [each.why for each in heard if each.offered is None]
    fit = "fits" if fitting == 1 else "fit"
    parts = [f"{_count(fitting, 'flavor')} {fit}, of {_count(len(heard) - len(silent), 'seller')}"]
    if skipped:
        parts.append(f"{_count(skipped, 'flavor')} could not be read")
    if silent:
        parts.append(f"{_count(len(silent), 'seller')} did not answer ({'; '.join(silent[:3])})")
    return "; ".join(parts)[:1000]


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
