"""What was decided already: open decisions, what an hour has seen, and the answers that were given.

Decision objects are the memory that survives a restart. Besides, what was accepted in the last hour is remembered here,
because of old Decisions not all are kept.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from continuo.placement.guards import History
from continuo.resources.errors import Invalid
from continuo.resources.loop import DecidedAction, DecisionSpec, DecisionStage, Operation, decode_decision
from continuo.resources.meta import Object
from continuo.server.problems import Problem

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MOST_ANSWERS = 4096
_OPEN = (DecisionStage.RECEIVED, DecisionStage.WAITING)
_VOID = (DecisionStage.REFUSED, DecisionStage.EXPIRED, DecisionStage.SUPERSEDED)
EXTERNAL = "external"
"""The key of `spec.explanation` under which a decision from outside keeps what belongs to its request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered, to be answered again."""

    digest: str
    status: int
    body: Object


@dataclass(frozen=True, slots=True)
class Accepted:
    """A decision that was accepted: when, for which orchestration, to do what."""

    name: str
    when: datetime
    orchestration: str
    actions: tuple[DecidedAction, ...]


class Past:
    """Memory of one server; bounded."""

    def __init__(self, decisions_per_minute: int) -> None:
        self._rate = decisions_per_minute
        self._accepted: dict[str, Accepted] = {}
        self._answers: OrderedDict[tuple[str, str], Answer] = OrderedDict()
        self._asked: dict[str, deque[datetime]] = {}

    # --- requests -----------------------------------------------------------------------------------------------------
    def count(self, caller: str, now: datetime) -> None:
        """One more request of a caller; raises the problem when it has sent as many as it may."""
        for name in [name for name, times in self._asked.items() if now - times[-1] >= MINUTE]:
            del self._asked[name]
        times = self._asked.setdefault(caller, deque())
        while times and now - times[0] >= MINUTE:
            times.popleft()
        if len(times) >= self._rate:
            wait = max(1, int((MINUTE - (now - times[0])).total_seconds()))
            said = f"{caller} has sent {len(times)} decisions within a minute, the most there may be: wait {wait} s"
            raise Problem(429, "rate-limited", said, headers={"Retry-After": str(wait)})
        times.append(now)

    def answer(self, caller: str, decision_id: str) -> Answer | None:
        """What this caller's decision of that id was answered."""
        return self._answers.get((caller, decision_id))

    def remember(self, caller: str, decision_id: str, answer: Answer) -> None:
        """Answer so again."""
        self._answers[caller, decision_id] = answer
        while len(self._answers) > MOST_ANSWERS:
            self._answers.popitem(last=False)

    # --- decisions ----------------------------------------------------------------------------------------------------
    def accept(self, accepted: Accepted, now: datetime) -> None:
        """Count what was accepted."""
        self._accepted[accepted.name] = accepted
        for name in [name for name, old in self._accepted.items() if now - old.when >= HOUR]:
            del self._accepted[name]

    def accepted(self, orchestration: str) -> tuple[Accepted, ...]:
        """What was accepted lately for an orchestration."""
        return tuple(one for one in self._accepted.values() if one.orchestration == orchestration)


Read = Iterable[tuple[Object, DecisionSpec]]
"""Decision objects that could be read, decoded."""


def history_of(accepted: Iterable[Accepted], decisions: Read, now: datetime) -> History:
    """What was decided from outside within an hour: what was accepted here, and what is kept."""
    found = {one.name: one for one in accepted}
    for obj, spec in decisions:
        name = obj["metadata"]["name"]
        if _stage(obj) in _VOID:
            found.pop(name, None)
        elif spec.source.startswith(f"{EXTERNAL}/") and name not in found:
            found[name] = Accepted(name, received(obj, spec), spec.orchestration, spec.actions)
    actions = [action for one in found.values() if now - one.when < HOUR for action in one.actions]
    return History(
        moved=frozenset(str(a.component) for a in actions if a.op is Operation.MIGRATE_COMPONENT),
        created=frozenset(str(a.cluster) for a in actions if a.op is Operation.CREATE_CLUSTER),
        deleted=frozenset(str(a.cluster) for a in actions if a.op is Operation.DELETE_CLUSTER),
    )


def opened(decisions: Read, now: datetime) -> Iterator[tuple[int, DecidedAction]]:
    """(priority, action) of decisions that are still to be carried out."""
    for obj, spec in decisions:
        void = spec.expires is not None and datetime.fromisoformat(spec.expires) <= now
        if _stage(obj) in _OPEN and not void:
            for action in spec.actions:
                yield priority(spec), action


def request_of(spec: DecisionSpec) -> dict[str, Any]:
    """What a decision from outside keeps of its request; empty for the others."""
    kept = spec.explanation.get(EXTERNAL)
    return kept if isinstance(kept, dict) else {}


def priority(spec: DecisionSpec) -> int:
    """That of the request; our own loops decide with 0."""
    said = request_of(spec).get("priority", 0)
    return said if isinstance(said, int) else 0


def received(obj: Object, spec: DecisionSpec) -> datetime:
    """When the request came in."""
    return datetime.fromisoformat(str(request_of(spec).get("received") or obj["metadata"]["creationTimestamp"]))


def _stage(obj: Object) -> DecisionStage:
    return DecisionStage((obj.get("status") or {}).get("stage") or DecisionStage.RECEIVED)


def read(decisions: Iterable[Object]) -> Iterator[tuple[Object, DecisionSpec]]:
    """Decision objects with what they say."""
    for obj in decisions:
        try:
            yield obj, decode_decision(obj)
        except Invalid:
            continue  # not one that anybody could carry out: the operator says so in its status
