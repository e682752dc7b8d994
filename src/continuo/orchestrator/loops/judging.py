"""The guards of decisions from outside, asked again when one is carried out: the picture may be another one by then. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.loops.enact import OPEN, REMEMBERED, Made
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.placing.choose import whole_problem
from continuo.orchestrator.placing.problem import asks, room
from continuo.placement.guards import History, Limits, State, judge_all, subject_of
from continuo.resources.loop import DecidedAction, DecisionStage, Operation

_DONE = (DecisionStage.APPLIED, DecisionStage.VERIFIED)


def judged(
    snapshot: Snapshot, assessment: Assessment, decision: Made, decisions: Sequence[Made], now: datetime.datetime,
    limits: Limits,
) -> list[str]:  # fmt: skip
    """What is wrong with a decision from outside, in sentences; nothing where it may be carried out.

    `decisions` are all of the orchestration. The version that it was decided on is the server's, which nobody else can read;
    so the picture itself is judged: what is named must be there and allowed, and nothing that beats it may have been done.
    """
    turns = in_turn(decisions)
    earlier = turns[: [one.name for one in turns].index(decision.name)]
    if beaten := [one.name for one in earlier if _beats(one, decision)]:
        return [f"decision {beaten[0]}, about the same and of a higher priority, was carried out meanwhile"]
    state = state_of(snapshot, assessment, [one for one in earlier if one.stage in OPEN])
    history = history_of(one for one in decisions if one.name != decision.name and now - one.at < REMEMBERED)
    found = judge_all(state, decision.spec.actions, limits, history)
    return [rejection.message for rejection in found if rejection is not None]


def in_turn(decisions: Iterable[Made]) -> list[Made]:
    """As decisions are carried out: those of a higher priority first, then the older ones."""
    return sorted(decisions, key=lambda one: (-_priority(one), one.at, one.name))


def _priority(decision: Made) -> int:
    said = decision.spec.explanation.get("external") if decision.external else None
    found = said.get("priority") if isinstance(said, dict) else 0
    return found if isinstance(found, int) else 0


def _beats(other: Made, decision: Made) -> bool:
    """Whether a decision of a higher priority about the same was carried out after this one was made."""
    if other.stage not in _DONE or _priority(other) <= _priority(decision) or other.at < decision.at:
        return False
    about = {subject_of(action) for action in decision.spec.actions}
    return any(subject_of(action) in about for action in other.spec.actions)


def state_of(snapshot: Snapshot, assessment: Assessment, before: Iterable[Made]) -> State:
    """What the guards look at."""
    namespace, name = snapshot.key
    components = ((app, c) for app in snapshot.orchestration.spec.apps for c in app.components)
    return State(
        namespace=namespace, name=name, declared=snapshot.declared, carried=snapshot.orchestration.spec,
        adjustment=snapshot.adjustment, status=snapshot.orchestration.status,
        problem=whole_problem(snapshot, assessment, None),
        pods={f"{app.name}/{c.name}": room(asks(c)) for app, c in components}, deleting=snapshot.deleting,
        opened=tuple(action for one in before for action in one.spec.actions),
    )  # fmt: skip


def history_of(decisions: Iterable[Made]) -> History:
    """What was done from outside lately."""
    done: list[DecidedAction] = [
        action
        for one in decisions
        if one.external and one.stage in (DecisionStage.APPLIED, DecisionStage.VERIFIED, DecisionStage.SUPERSEDED)
        for action in one.spec.actions
    ]
    moved = (a.component for a in done if a.op is Operation.MIGRATE_COMPONENT and a.component)
    created = (a.cluster for a in done if a.op is Operation.CREATE_CLUSTER and a.cluster)
    deleted = (a.cluster for a in done if a.op is Operation.DELETE_CLUSTER and a.cluster)
    return History(frozenset(moved), frozenset(created), frozenset(deleted))
