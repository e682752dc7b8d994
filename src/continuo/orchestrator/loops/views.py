"""What loops see of clusters and components, made of what a round observed. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.effective import default_place
from continuo.orchestrator.linkable import FREE
from continuo.orchestrator.loops.enact import moment, told
from continuo.orchestrator.loops.model import ClusterView, ComponentView
from continuo.orchestrator.observe import Reach, Snapshot
from continuo.orchestrator.placing.problem import asks
from continuo.resources.loop import ClusterAdjustment
from continuo.resources.meta import Object
from continuo.resources.orchestration import Policy

EXTERNAL = "external"
"""Of whom clusters are that no loop created."""


def lost_since(snapshot: Snapshot, now: datetime.datetime) -> dict[str, str]:
    """Since when clusters have not answered: as their status says, or since now."""
    before: dict[str, Object] = {c["name"]: c for c in (snapshot.object.get("status") or {}).get("clusters") or ()}
    return {
        name: str(before.get(name, {}).get("lostSince") or told(now))
        for name, seen in snapshot.clusters.items()
        if seen.workload.reach is Reach.LOST
    }


def provisioner(entry: ClusterAdjustment, policies: Iterable[Policy]) -> str:
    """The loop that a cluster on demand is of: where its own is gone, one that makes clusters of the same name has it."""
    loops = {policy.name: loop.template.name for policy in policies if (loop := policy.provision_cluster) is not None}
    if entry.policy in loops or entry.policy == EXTERNAL:
        return entry.policy
    made = entry.cluster.name.rpartition("-")[0]
    return next((name for name, template in loops.items() if template == made), entry.policy)


def cluster_views(
    snapshot: Snapshot, assessment: Assessment, lost: Mapping[str, str]
) -> dict[str, ClusterView]:  # fmt: skip
    """Every cluster that is wanted or still there."""
    wanted = {spec.name: spec for spec in snapshot.orchestration.spec.clusters}
    policies = snapshot.declared.policies
    demanded = {entry.cluster.name: provisioner(entry, policies) for entry in snapshot.adjustment.clusters}
    found: dict[str, ClusterView] = {}
    for name, seen in snapshot.clusters.items():
        state, linking = assessment.clusters[name], assessment.linking.get(name, FREE)
        found[name] = ClusterView(
            name=name, spec=wanted.get(name), phase=state.phase, usable=state.usable,
            lost_since=moment(lost.get(name)), capacity=seen.workload.capacity, workers_ready=state.workers[0],
            policy=demanded.get(name), unlinkable=linking.unlinkable, shared_id=linking.shared_id,
        )  # fmt: skip
    return found


def component_views(snapshot: Snapshot, assessment: Assessment) -> dict[str, ComponentView]:
    """Every component that is wanted, by path."""
    clusters = {spec.name: spec for spec in snapshot.orchestration.spec.clusters}
    homes = {entry.component: entry.home for entry in snapshot.adjustment.places}
    declared = {f"{app.name}/{c.name}": c for app in snapshot.declared.apps for c in app.components}
    found: dict[str, ComponentView] = {}
    for app in snapshot.orchestration.spec.apps:
        for component in app.components:
            path = f"{app.name}/{component.name}"
            state = assessment.components.get((app.name, component.name))
            found[path] = ComponentView(
                path=path, app=app, spec=component, declared=declared.get(path, component),
                cluster=default_place(app, component, clusters), home=homes.get(path),
                ready=state.ready if state else 0, settled=state.settled if state else False, needs=asks(component),
            )  # fmt: skip
    return found
