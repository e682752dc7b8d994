"""A buyer, put together: controllers of Solvers, Discoveries, Reservations and Contracts over one set of informers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from continuo.edge.node import NAMESPACE, NodeIdentity
from continuo.edge.rear.buyer import phases
from continuo.edge.rear.buyer.contracts import Contracts, Linker
from continuo.edge.rear.buyer.desk import Desk, candidate_of
from continuo.edge.rear.buyer.discovery import Discoveries
from continuo.edge.rear.buyer.reservation import Reservations
from continuo.edge.rear.buyer.solver import Solvers
from continuo.edge.rear.client import Sellers
from continuo.kube.port import Cluster
from continuo.resources.kinds import (
    ALLOCATION,
    DISCOVERY,
    FLUIDOS_CONTRACT,
    KNOWN_CLUSTER,
    PEERING_CANDIDATE,
    RESERVATION,
    SOLVER,
)
from continuo.resources.meta import Object
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import Controller
from continuo.runtime.informer import Handler


class Buyer:
    """Brings the Solvers of one cluster to what they ask for."""

    def __init__(
        self, cluster: Cluster, node: NodeIdentity, sellers: Sellers, *, namespace: str = NAMESPACE,
        refresh: float = 60.0, linker: Linker | None = None, clock: Callable[[], float] = time.time,
        rng: random.Random | None = None, backoff: Backoff | None = None,
    ) -> None:  # fmt: skip
        rng = rng or random.Random()
        self.desk = Desk(cluster, namespace, node, clock)
        self._contracts = Contracts(self.desk, sellers, self._look, rng, linker)
        self.solvers: Controller[str] = Controller("solvers", Solvers(self.desk).reconcile, backoff=backoff, rng=rng)
        reservations, discoveries = Reservations(self.desk, sellers), Discoveries(self.desk, sellers, refresh)
        self._asking = discoveries
        self.discoveries: Controller[str] = Controller("discoveries", discoveries.reconcile, backoff=backoff, rng=rng)
        self.reservations: Controller[str] = Controller(
            "reservations", reservations.reconcile, workers=16, backoff=backoff or Backoff(cap=15.0), rng=rng
        )
        self.contracts: Controller[str] = Controller(
            "bought", self._contracts.reconcile, workers=8, backoff=backoff, rng=rng
        )
        self._all = (self.solvers, self.discoveries, self.reservations, self.contracts)
        self._follow()

    def _look(self, contract: str) -> None:
        self.contracts.add(contract)

    def _follow(self) -> None:
        """Who is to look again when something changed."""
        desk = self.desk
        for kind, controller in (
            (SOLVER, self.solvers), (DISCOVERY, self.discoveries), (RESERVATION, self.reservations),
            (FLUIDOS_CONTRACT, self.contracts),
        ):  # fmt: skip
            desk.on_change(kind, _adding(controller))
        for kind in (DISCOVERY, RESERVATION):
            desk.on_change(kind, lambda old, new: self.solvers.add(str(_either(old, new)["spec"].get("solverID", ""))))
        desk.on_change(PEERING_CANDIDATE, self._candidate)
        desk.on_change(RESERVATION, self._reservation)
        desk.on_change(FLUIDOS_CONTRACT, self._contract)
        desk.on_change(ALLOCATION, self._allocation)
        desk.on_change(KNOWN_CLUSTER, lambda old, _new: self._sellers_changed() if old is None else None)

    def _candidate(self, old: Object | None, new: Object | None) -> None:
        for solver in _either(old, new)["spec"].get("interestedSolverIDs") or ():
            self.solvers.add(str(solver))

    def _reservation(self, old: Object | None, new: Object | None) -> None:
        """What one Solver has no more, another one may want."""
        if new is not None and phases.word(new) != phases.FAILED:
            return
        candidate = self.desk.get(PEERING_CANDIDATE, candidate_of(_either(old, new)))
        if candidate is not None:
            self._candidate(None, candidate)

    def _contract(self, old: Object | None, new: Object | None) -> None:
        for owner in _either(old, new)["metadata"].get("ownerReferences") or ():
            if owner["kind"] == SOLVER.kind:
                self.solvers.add(str(owner["name"]))

    def _allocation(self, old: Object | None, new: Object | None) -> None:
        name = (_either(old, new)["spec"].get("contract") or {}).get("name") or ""
        contract = self.desk.get(FLUIDOS_CONTRACT, name)
        if contract is not None:
            self.contracts.add(name)
            self._contract(None, contract)

    def _sellers_changed(self) -> None:
        """A seller more: whoever is looking may look again at once."""
        for discovery in self.desk.cache(DISCOVERY):
            self._asking.again(discovery)
            self.discoveries.add(discovery["metadata"]["name"])

    def trouble(self) -> str:
        """Why it cannot work, in one sentence; empty when it can."""
        return self.desk.trouble

    async def start(self) -> None:
        """Begin; returns when everything that is there is known."""
        await self.desk.start()
        for controller in self._all:
            controller.start()

    async def stop(self) -> None:
        """Take no more steps."""
        await asyncio.gather(*(controller.stop() for controller in self._all))
        await self._contracts.ears.close()  # last: a controller at work would listen anew
        await self.desk.stop()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self.start()
            await asyncio.Event().wait()
        finally:
            await self.stop()


def _bare(obj: Object) -> Object:
    """An object without what a controller says in it for people: its own words are no reason to look again."""
    meta = {key: value for key, value in obj["metadata"].items() if key not in ("resourceVersion", "generation")}
    status = {key: value for key, value in (obj.get("status") or {}).items() if key != "phase"}
    return {"metadata": meta, "spec": obj["spec"], "status": status}


def _adding(controller: Controller[str]) -> Handler:
    def changed(old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _bare(old) == _bare(new):
            return  # it only says so
        controller.add(str(_either(old, new)["metadata"]["name"]))

    return changed


def _either(old: Object | None, new: Object | None) -> Object:
    found = new if new is not None else old
    assert found is not None
    return found
