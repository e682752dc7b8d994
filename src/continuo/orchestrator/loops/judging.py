"""The guards of decisions from outside, asked again when one is carried out: the picture may be another one by then. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.loops.enact import OPEN, REMEMBERED, Made
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.placing.choose import whole_problem
from continuo.orchestrator.placing.problem import asks, room
from continuo.placement.guards import History, Limits, State, judge_all
from continuo.resources.loop import DecidedAction, DecisionStage, Operation


def judged(
    snapshot: Snapshot, assessment: Assessment, decision: Made, decisions: Sequence[Made], now: datetime.datetime
) -> list[str]:
    """What is wrong with a decision from outside, in sentences; nothing where it may be carried out.

    `decisions` are all of the orchestration, oldest first.
    """
    earlier = decisions[: [one.name for one in decisions].index(decision.name)]
    state = state_of(snapshot, assessment, [one for one in earlier if one.stage in OPEN])
    history = history_of(one for one in decisions if one.name != decision.name and now - one.at < REMEMBERED)
    found = judge_all(state, decision.spec.actions, Limits(), history)
    return [rejection.message for rejection in found if rejection is not None]


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
