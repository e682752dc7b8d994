"""What a Solver needs next: from what is there to one action and a status. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from continuo.edge.rear.buyer import phases
from continuo.edge.rear.buyer.phases import ACTIVE, FAILED, IDLE, RUNNING, SOLVED, SOLVING, TIMED_OUT
from continuo.resources.meta import Object

ATTEMPTS = 16
"""Candidates that are tried before a Solver gives up."""
Action: TypeAlias = Literal["", "discover", "reserve", "try-another", "allocate"]


@dataclass(frozen=True, slots=True)
class View:
    """What is known of one Solver."""

    solver: Object
    candidates: Sequence[Object]
    """Those that fit and can be had, in the order in which they are to be tried."""
    fitting: int
    """How many fit, whether they can be had or not."""
    discovery: Object | None = None
    reservation: Object | None = None
    chosen: Object | None = None
    """The candidate of the reservation."""
    contract: Object | None = None
    allocation: Object | None = None
    attempts: int = 1
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Next:
    """One action, and what the status says meanwhile."""

    action: Action = ""
    status: Object = field(default_factory=dict)
    candidate: Object | None = None


def decide(view: View) -> Next:
    """What to do now."""
    spec = view.solver["spec"]
    steps: Object = {}
    if not any(spec.get(each) for each in ("findCandidate", "reserveAndBuy", "establishPeering")):
        return _told(view, "", IDLE, "nothing is asked for", steps)
    found = _find(view, steps)
    if found is not None:
        return found
    if not spec.get("reserveAndBuy"):
        return _told(view, "", SOLVED, f"{len(view.candidates)} candidates found", steps)
    bought = _buy(view, steps)
    if bought is not None:
        return bought
    if not spec.get("establishPeering"):
        return _told(view, "", SOLVED, f"bought: contract {_contract(view)}", steps)
    return _consume(view, steps)


def _find(view: View, steps: Object) -> Next | None:
    """Candidates; once there is a reservation that is not over, they have been found."""
    going = view.reservation is not None and phases.word(view.reservation) != FAILED
    if going or view.candidates:
        steps |= {"findCandidate": SOLVED, "discoveryPhase": SOLVED}
        return None
    if not view.solver["spec"].get("findCandidate"):
        steps |= {"findCandidate": IDLE}
        return _told(view, "", FAILED, "no PeeringCandidate fits, and none may be looked for: set findCandidate", steps)
    if view.discovery is None:
        steps |= {"findCandidate": RUNNING, "discoveryPhase": RUNNING}
        return _told(view, "discover", RUNNING, "looking for candidates", steps)
    word, said = phases.word(view.discovery), phases.message(view.discovery)
    if word in (FAILED, SOLVED):
        why = f"all {view.fitting} flavors that fit are taken" if word == SOLVED and view.fitting else said
        last = phases.message(view.reservation) if view.reservation is not None else ""
        steps |= {"findCandidate": FAILED, "discoveryPhase": word}
        return _told(view, "", FAILED, f"{why}{f'; the last said: {last}' if last else ''}", steps)
    steps |= {"findCandidate": RUNNING, "discoveryPhase": word or RUNNING}
    return _told(view, "", TIMED_OUT if word == TIMED_OUT else RUNNING, said or "looking for candidates", steps)


def _buy(view: View, steps: Object) -> Next | None:
    found = view.reservation
    if found is None:
        steps |= {"reserveAndBuy": RUNNING, "reservationPhase": RUNNING}
        candidate = view.candidates[0]
        return _told(view, "reserve", RUNNING, f"reserving {_flavor(candidate)}", steps, candidate)
    word = phases.word(found)
    steps |= {"reservationPhase": word or RUNNING, "reserveAndBuy": word if word in (SOLVED, FAILED) else RUNNING}
    if word == SOLVED:
        return None
    if word == FAILED:
        taken = view.chosen is not None and not view.chosen["spec"].get("available")
        if taken and view.candidates and view.attempts < ATTEMPTS:
            steps |= {"reserveAndBuy": RUNNING, "reservationPhase": RUNNING}
            return _told(view, "try-another", RUNNING, f"{phases.message(found)}; trying another one", steps)
        return _told(view, "", FAILED, phases.message(found), steps)
    state = TIMED_OUT if word == TIMED_OUT else RUNNING
    return _told(view, "", state, phases.message(found) or "reserving", steps)


def _consume(view: View, steps: Object) -> Next:
    if view.contract is None:
        steps |= {"peering": FAILED, "consumePhase": FAILED}
        return _told(view, "", FAILED, f"contract {_contract(view)} is gone", steps)
    if view.allocation is None:
        steps |= {"peering": RUNNING, "consumePhase": RUNNING}
        return _told(view, "allocate", RUNNING, f"contract {_contract(view)} is bought, its path is being made", steps)
    status = view.allocation.get("status") or {}
    state, said = status.get("status"), status.get("message") or ""
    if state == ACTIVE:
        steps |= {"peering": SOLVED, "consumePhase": SOLVED}
        return _told(view, "", SOLVED, said or f"contract {_contract(view)} is active", steps)
    if state in ("Error", "Released"):
        steps |= {"peering": FAILED, "consumePhase": FAILED}
        return _told(view, "", FAILED, said or f"its allocation is {state}", steps)
    steps |= {"peering": RUNNING, "consumePhase": RUNNING}
    return _told(view, "", RUNNING, said or "its path is being made", steps)


def _told(view: View, action: Action, word: str, text: str, steps: Object, candidate: Object | None = None) -> Next:
    """The status; what runs for too long has timed out, and still goes on."""
    solver = view.solver
    if word == RUNNING and phases.running_for(solver, view.now, "solverPhase") > SOLVING:
        word = TIMED_OUT
    status = {**steps, "solverPhase": phases.phase(solver, word, text, view.now, "solverPhase")}
    return Next(action, status, candidate)


def _flavor(candidate: Object) -> str:
    return str(candidate["spec"]["flavor"]["metadata"]["name"])


def _contract(view: View) -> str:
    status = (view.reservation or {}).get("status") or {}
    return str((status.get("contract") or {}).get("name") or "")
