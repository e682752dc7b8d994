"""What loops that are no longer declared have left behind: it returns to the declaration. Pure.

Pods and workers are as many as declared at once, components go home once their home is well, and clusters on demand go once
nothing is placed on them; nothing is moved off for that. A policy of another name that has the say about the same thing,
or that makes clusters of the same name, takes them over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from continuo.orchestrator.effective import default_place
from continuo.orchestrator.loops.frame import claims
from continuo.orchestrator.loops.model import ClusterView, ComponentView
from continuo.orchestrator.loops.policies.room import well
from continuo.orchestrator.loops.views import EXTERNAL, provisioner
from continuo.resources.loop import MAX_ACTIONS, AdjustmentSpec, DecidedAction, Operation
from continuo.resources.orchestration import Policy, Spec
from continuo.resources.selectors import selects

SOURCE = "declaration"


@dataclass(frozen=True, slots=True)
class Remains:
    """What returns now, and by policy why something does not yet."""

    actions: tuple[DecidedAction, ...] = ()
    reason: str = ""
    waits: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Draft:
    base: Spec
    policies: tuple[Policy, ...]
    clusters: Mapping[str, ClusterView]
    components: Mapping[str, ComponentView]
    actions: list[DecidedAction] = field(default_factory=list)
    gone: dict[str, None] = field(default_factory=dict)
    waits: dict[str, list[str]] = field(default_factory=dict)

    def back(self, policy: str, action: DecidedAction) -> None:
        self.gone[policy] = None
        self.actions.append(action)


def remains(
    declared: Spec, base: Spec, adjustment: AdjustmentSpec, clusters: Mapping[str, ClusterView],
    components: Mapping[str, ComponentView],
) -> Remains:  # fmt: skip
    """What returns to the declaration (`base`: with what was rolled back), because no loop has the say about it any more."""
    draft = _Draft(base, declared.policies, clusters, components)
    _counts(draft, adjustment)
    _homes(draft, adjustment)
    _clusters(draft, adjustment)
    gone = ", ".join(draft.gone)
    return Remains(
        tuple(draft.actions[:MAX_ACTIONS]),
        f"{gone} {'has' if len(draft.gone) == 1 else 'have'} no say any more: what is declared holds" if gone else "",
        {name: f"policy {name} has no say any more: {'; '.join(told)}" for name, told in draft.waits.items()},
    )


def _counts(draft: _Draft, adjustment: AdjustmentSpec) -> None:
    """Pods and workers."""
    say = claims(draft.policies)
    pods = {f"{app.name}/{c.name}": c.replicas for app in draft.base.apps for c in app.components}
    for entry in adjustment.replicas:
        if entry.policy and ("replicas", entry.component) not in say and entry.component in pods:
            action = DecidedAction(
                op=Operation.SCALE_COMPONENT, component=entry.component, replicas=pods[entry.component]
            )
            draft.back(entry.policy, action)
    for worker in adjustment.workers:
        if worker.policy and ("workers", worker.cluster) not in say and worker.declared is not None:
            action = DecidedAction(op=Operation.SCALE_CLUSTER, cluster=worker.cluster, workers=worker.declared)
            draft.back(worker.policy, action)


def _watched(draft: _Draft, cluster: str) -> bool:
    """Whether a loop brings home what is away from a cluster, or keeps it away on purpose."""
    view = draft.clusters.get(cluster)
    labels = view.spec.labels if view is not None and view.spec is not None else {}
    return any(p.failover is not None and selects(p.failover.clusters, labels) for p in draft.policies)


def _homes(draft: _Draft, adjustment: AdjustmentSpec) -> None:
    """Applications and components that are away from where they are declared to be."""
    declared = {cluster.name: cluster for cluster in draft.base.clusters}
    places = {
        f"{app.name}/{c.name}": default_place(app, c, declared) for app in draft.base.apps for c in app.components
    }
    for home in adjustment.homes:
        if home.policy and not _watched(draft, home.home):
            action = DecidedAction(op=Operation.MOVE_HOME, app=home.app, cluster=home.home, other=home.cluster)
            _return(draft, home.policy, home.home, f"application {home.app}", action)
    for entry in adjustment.places:
        if (
            entry.policy
            and entry.home
            and entry.home == places.get(entry.component)
            and not _watched(draft, entry.home)
        ):
            action = DecidedAction(
                op=Operation.MIGRATE_COMPONENT, component=entry.component, cluster=entry.home, other=entry.cluster
            )
            _return(draft, entry.policy, entry.home, entry.component, action)


def _return(draft: _Draft, policy: str, home: str, what: str, action: DecidedAction) -> None:
    view = draft.clusters.get(home)
    if view is not None and well(view):
        draft.back(policy, action)
    else:
        draft.waits.setdefault(policy, []).append(f"{what} returns to {home} once that is well")


def _clusters(draft: _Draft, adjustment: AdjustmentSpec) -> None:
    """Clusters on demand."""
    loops = {policy.name for policy in draft.policies if policy.provision_cluster is not None}
    for entry in adjustment.clusters:
        name = entry.cluster.name
        if provisioner(entry, draft.policies) in loops or entry.policy == EXTERNAL:
            continue
        if why := _kept(draft.components.values(), name):
            draft.waits.setdefault(entry.policy, []).append(f"cluster {name} stays until {why}")
        else:
            draft.back(entry.policy, DecidedAction(op=Operation.DELETE_CLUSTER, cluster=name))


def _kept(components: Iterable[ComponentView], cluster: str) -> str:
    """What keeps a cluster: what is placed there or has its home there, and what may still be on its way from there."""
    parts = sorted(components, key=lambda c: c.path)
    if here := [c.path for c in parts if cluster in (c.cluster, c.app.cluster)]:
        return f"nothing is placed on it any more: {_few(here)}"
    moving = [c.path for c in parts if not c.settled]
    return f"{_few(moving)} {'runs' if len(moving) == 1 else 'run'} elsewhere" if moving else ""


def _few(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
