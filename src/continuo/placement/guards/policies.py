"""Which loops look after what an action is about: a hold of theirs wins over it, and their approval is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from continuo.placement.guards.model import Code, Rejection, State
from continuo.resources.loop import DecidedAction, Operation
from continuo.resources.orchestration_policies import Approval, Policy
from continuo.resources.selectors import selects


def governing(state: State, action: DecidedAction) -> Iterator[Policy]:
    """The loops that do such things to the same thing themselves."""
    made = {entry.cluster.name: entry.policy for entry in state.adjustment.clusters}
    here = state.places.get(state.part(str(action.component)))
    for policy in state.declared.policies:
        if action.op is Operation.SCALE_COMPONENT:
            ours = policy.scale_component is not None and policy.scale_component.component == action.component
        elif action.op is Operation.SCALE_CLUSTER:
            ours = policy.scale_cluster is not None and policy.scale_cluster.cluster == action.cluster
        elif action.op is Operation.CREATE_CLUSTER:
            ours = policy.provision_cluster is not None
        elif action.op is Operation.DELETE_CLUSTER:
            ours = policy.provision_cluster is not None and policy.name == made.get(str(action.cluster))
        elif action.op is Operation.MIGRATE_COMPONENT and policy.failover is not None:
            labels = state.clusters[here].labels if here in state.clusters else {}
            ours = selects(policy.failover.clusters, labels)
        else:
            ours = False
        if ours:
            yield policy


def held(state: State, action: DecidedAction) -> Rejection | None:
    """Whether one of them is on hold."""
    for policy in governing(state, action):
        if policy.hold:
            about = action.component or action.cluster
            said = f"policy {policy.name} is on hold, which looks after {about}: nobody else acts there until it is released"
            return Rejection(Code.HELD, said)
    return None


def needs_approval(state: State, action: DecidedAction) -> bool:
    """Whether somebody has to approve the action, as where one of the loops had decided it."""
    return any(policy.approval is Approval.REQUIRED for policy in governing(state, action))
