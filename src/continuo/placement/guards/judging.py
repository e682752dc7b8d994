"""The judge: every action of a decision against the state as it is, and against the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from continuo.placement.guards.clusters import may_create, may_delete, may_resize
from continuo.placement.guards.components import PLACING, may_place, may_scale
from continuo.placement.guards.fitting import judge_room
from continuo.placement.guards.links import may_link, may_unlink
from continuo.placement.guards.model import Basis, Code, History, Judged, Limits, Rejection, State, pair
from continuo.placement.guards.policies import held
from continuo.resources.loop import DecidedAction, Operation

Subject: TypeAlias = tuple[str, ...]
_COMPONENT = ("cluster", "replicas", "requests", "hint", "placement", "pinned", "linkRequirements", "owner")
_LINKING = ("unlinkable", "sharedLiqoId")
_TARGET = ("tier", "labels", "location", "datacenter", "cost", "cordoned", "lostSince", "simulated", *_LINKING)
_NOT_TO_BE_MADE_TWICE = "an open decision of the same or a higher priority speaks of the same"


def judge(
    state: State, action: DecidedAction, limits: Limits, history: History, based_on: Basis | None = None
) -> Rejection | None:
    """Why an action, alone in its decision, is not to be done; None where it may be."""
    return judge_all(state, (action,), limits, history, based_on)[0]


def judge_all(
    state: State,
    actions: Sequence[DecidedAction | Rejection],
    limits: Limits,
    history: History,
    based_on: Basis | None = None,
) -> list[Rejection | None]:
    """The same for the actions of one decision, which are judged together; what is refused already stays so.

    Of actions that cannot go together the later ones are refused. Without `based_on` nothing is stale.
    """
    judged = Judged(state, limits, history, tuple(actions), based_on)
    for number, action in judged.open():
        rejection = _alone(judged, action)
        if rejection is not None:
            judged.refused[number] = rejection
    _against_each_other(judged)
    judge_room(judged)
    _in_an_hour(judged)
    return [
        action if isinstance(action, Rejection) else judged.refused.get(n) for n, action in enumerate(judged.actions)
    ]


def touched(orchestration: str, action: DecidedAction) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """The items of the state that an action rests on, (collection, id), each with the fields that matter."""
    if action.op in PLACING:
        yield "workloads", f"{orchestration}/{action.component}", _COMPONENT
        yield "clusters", f"{orchestration}/{action.cluster}", _TARGET
    elif action.op is Operation.SCALE_COMPONENT:
        yield "workloads", f"{orchestration}/{action.component}", ("cluster", "replicas", "requests", "heldBy")
    elif action.op is Operation.SCALE_CLUSTER:
        yield "clusters", f"{orchestration}/{action.cluster}", ("workers", "lostSince")
    elif action.op is Operation.DELETE_CLUSTER:
        yield "clusters", f"{orchestration}/{action.cluster}", ("workers", "onDemand")
    elif action.op in (Operation.LINK_CLUSTERS, Operation.UNLINK_CLUSTERS):
        for end in (action.cluster, action.other):
            yield "clusters", f"{orchestration}/{end}", ("lostSince", "location", *_LINKING)


# --- one action -------------------------------------------------------------------------------------------------------
def _alone(judged: Judged, action: DecidedAction) -> Rejection | None:
    state = judged.state
    if state.deleting:
        return Rejection(Code.DELETING, f"orchestration {state.name} is being deleted: nothing is decided about it")
    if state.declared.paused:
        return Rejection(Code.PAUSED, f"orchestration {state.name} is paused: nothing is changed until it is resumed")
    return _allowed(judged, action) or held(state, action) or _stale(judged, action) or _opened(state, action)


def _allowed(judged: Judged, action: DecidedAction) -> Rejection | None:
    state, limits = judged.state, judged.limits
    if action.op in PLACING:
        return may_place(state, action)
    if action.op is Operation.SCALE_COMPONENT:
        return may_scale(state, action)
    if action.op is Operation.CREATE_CLUSTER:
        return may_create(state, action, limits)
    if action.op is Operation.SCALE_CLUSTER:
        return may_resize(state, action, limits)
    if action.op is Operation.DELETE_CLUSTER:
        return may_delete(state, action)
    if action.op is Operation.LINK_CLUSTERS:
        return may_link(state, action, limits)
    if action.op is Operation.UNLINK_CLUSTERS:
        return may_unlink(state, action)
    return Rejection(Code.OP_NOT_OFFERED, f"{action.op} is done by Continuo's own loops alone")


def _stale(judged: Judged, action: DecidedAction) -> Rejection | None:
    if judged.basis is None:
        return None
    for collection, identity, fields in touched(judged.state.name, action):
        name = judged.basis.changed(collection, identity, fields)
        if name is not None:
            said = f"{name} of {identity} ({collection}) has changed since the state that this was decided on"
            return Rejection(Code.STALE, f"{said}: read the state again, and decide anew")
    return None


def _opened(state: State, action: DecidedAction) -> Rejection | None:
    about = subject_of(action)
    if any(subject_of(other) == about for other in state.opened):
        return Rejection(
            Code.BEING_DECIDED, f"{_NOT_TO_BE_MADE_TWICE}, {' '.join(about)}: wait until it is carried out"
        )
    return None


# --- actions of one decision ------------------------------------------------------------------------------------------
def subject_of(action: DecidedAction) -> Subject:
    """What an action decides: two of one decision must not decide the same."""
    if action.op in PLACING:
        return "place", str(action.component)
    if action.op is Operation.SCALE_COMPONENT:
        return "replicas", str(action.component)
    if action.op is Operation.SCALE_CLUSTER:
        return "workers", str(action.cluster)
    if action.op in (Operation.LINK_CLUSTERS, Operation.UNLINK_CLUSTERS):
        return "link", *pair(str(action.cluster), str(action.other))
    if action.op in (Operation.CREATE_CLUSTER, Operation.DELETE_CLUSTER):
        return "cluster", str(action.cluster)
    return str(action.op), str(action.app), str(action.component)


def _against_each_other(judged: Judged) -> None:
    first: dict[Subject, tuple[int, DecidedAction]] = {}
    for number, action in judged.open():
        about = subject_of(action)
        if about in first:
            earlier, other = first[about]
            same = other == action
            code, how = (Code.DUPLICATE, "says the same as") if same else (Code.CONTRADICTION, "contradicts")
            judged.refused[number] = Rejection(code, f"{' '.join(about)}: this {how} action {earlier} of the decision")
        else:
            first[about] = (number, action)
    going = {action.cluster: n for n, action in judged.open() if action.op is Operation.DELETE_CLUSTER}
    for number, action in judged.open():
        named = next((name for name in (action.cluster, action.other) if name in going), None)
        if named is not None and action.op is not Operation.DELETE_CLUSTER:
            said = f"action {going[named]} of the decision deletes {named}, which this one needs"
            judged.refused[number] = Rejection(Code.CONTRADICTION, said)


def _in_an_hour(judged: Judged) -> None:
    """Refuse what is beyond the bounds of an hour, the later actions first."""
    state, limits, history = judged.state, judged.limits, judged.history
    most = max(limits.moves_at_least, int(limits.moved_share * len(state.components)))
    for operation, done, bound, code, what in (
        (Operation.MIGRATE_COMPONENT, history.moved, most, Code.BLAST_RADIUS, "components were moved"),
        (Operation.DELETE_CLUSTER, history.deleted, limits.deleted_per_hour, Code.DELETIONS, "clusters were deleted"),
        (Operation.CREATE_CLUSTER, history.created, limits.created_per_hour, Code.CREATIONS, "clusters were created"),
    ):
        counted = set(done)
        for number, action in judged.open():
            if action.op is not operation:
                continue
            counted.add(str(action.component or action.cluster))
            if len(counted) > bound:
                said = f"{len(done)} {what} by schedulers within an hour, and {bound} may be in all: come back later"
                judged.refused[number] = Rejection(code, said)
                counted.discard(str(action.component or action.cluster))
