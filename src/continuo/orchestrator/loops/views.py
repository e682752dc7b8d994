"""What loops see of clusters and components, made of what a round observed. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.effective import default_place
from continuo.orchestrator.loops.enact import moment, told
from continuo.orchestrator.loops.model import ClusterView, ComponentView
from continuo.orchestrator.observe import Reach, Snapshot
from continuo.orchestrator.placing.problem import asks
from continuo.resources.meta import Object


def lost_since(snapshot: Snapshot, now: datetime.datetime) -> dict[str, str]:
    """Since when clusters have not answered: as their status says, or since now."""
    before: dict[str, Object] = {c["name"]: c for c in (snapshot.object.get("status") or {}).get("clusters") or ()}
    return {
        name: str(before.get(name, {}).get("lostSince") or told(now))
        for name, seen in snapshot.clusters.items()
        if seen.workload.reach is Reach.LOST
    }


def cluster_views(
    snapshot: Snapshot, assessment: Assessment, lost: Mapping[str, str]
) -> dict[str, ClusterView]:  # fmt: skip
    """Every cluster that is wanted or still there."""
    wanted = {spec.name: spec for spec in snapshot.orchestration.spec.clusters}
    demanded = {entry.cluster.name: entry.policy for entry in snapshot.adjustment.clusters}
    found: dict[str, ClusterView] = {}
    for name, seen in snapshot.clusters.items():
        state = assessment.clusters[name]
        found[name] = ClusterView(
            name=name, spec=wanted.get(name), phase=state.phase, usable=state.usable,
            lost_since=moment(lost.get(name)), capacity=seen.workload.capacity, workers_ready=state.workers[0],
            policy=demanded.get(name),
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
