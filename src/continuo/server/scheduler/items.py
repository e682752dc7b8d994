"""What a scheduler is told of one orchestration, as items of plain JSON. Pure.

An item says what is wanted and what was seen, and never how old that is in seconds: times are told as times, so that an
item changes only when something about it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeAlias

import msgspec

from continuo.orchestrator.capacity import amounts
from continuo.orchestrator.effective import default_place, effective
from continuo.orchestrator.naming import pair
from continuo.resources.loop import AdjustmentSpec
from continuo.resources.meta import Object, deleting
from continuo.resources.orchestration import (
    AppSpec,
    ClusterSpec,
    ClusterStatus,
    ComponentSpec,
    ComponentStatus,
    LinkStatus,
    LowLevelOrchestration,
    Policy,
    Spec,
    encode,
)
from continuo.resources.orchestration_policies import PlacementSpec

ItemKey: TypeAlias = tuple[str, str]
"""(collection, id)."""
Items: TypeAlias = dict[ItemKey, Object]

DATACENTERS, CLUSTERS, LINKS, WORKLOADS, PENDING = "datacenters", "clusters", "links", "workloads", "pending"
COLLECTIONS = (DATACENTERS, CLUSTERS, LINKS, WORKLOADS, PENDING)
_MILLIS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}


def items_of(orchestration: LowLevelOrchestration, adjustment: AdjustmentSpec) -> Items:
    """Everything about one orchestration but its data centres, which it may share with others."""
    found: Items = {}
    carried = effective(orchestration.spec, adjustment)
    for collection, made in (
        (CLUSTERS, _clusters(orchestration, carried, adjustment)),
        (LINKS, _links(orchestration, carried)),
        (WORKLOADS, _workloads(orchestration, carried, adjustment)),
        (PENDING, _pending(orchestration, carried)),
    ):
        found.update({(collection, item["id"]): item for item in made})
    return found


def datacenters_of(clusters: Iterable[Object]) -> Items:
    """The data centres that clusters name, each with what stands in it."""
    found: Items = {}
    for cluster in sorted(clusters, key=lambda item: str(item["id"])):
        name = cluster["datacenter"]
        if not name:
            continue
        item = found.setdefault(
            (DATACENTERS, name), {"id": name, "name": name, "location": None, "providers": [], "clusters": []}
        )
        item["clusters"].append(cluster["id"])
        item["location"] = item["location"] or cluster["location"]
        if cluster["provider"] not in item["providers"]:
            item["providers"].append(cluster["provider"])
    return found


# --- clusters ---------------------------------------------------------------------------------------------------------
def _clusters(orchestration: LowLevelOrchestration, carried: Spec, adjustment: AdjustmentSpec) -> Iterator[Object]:
    seen = {status.name: status for status in orchestration.status.clusters}
    declared = {spec.name for spec in orchestration.spec.clusters}
    made = {entry.cluster.name: entry.policy for entry in adjustment.clusters if entry.cluster.name not in declared}
    for spec in carried.clusters:
        yield _cluster(orchestration.name, spec, seen.get(spec.name), made.get(spec.name))


def _cluster(owner: str, spec: ClusterSpec, status: ClusterStatus | None, policy: str | None) -> Object:
    phase = status.phase.value if status is not None else "Pending"
    return {
        "id": f"{owner}/{spec.name}",
        "orchestration": owner,
        "name": spec.name,
        "provider": spec.provider.value,
        "simulated": spec.simulated,
        "onDemand": policy,
        "kubernetesVersion": (status.version if status is not None else None) or spec.kubernetes_version,
        "datacenter": spec.datacenter,
        "tier": spec.tier.value if spec.tier is not None else None,
        "location": encode(spec.location) if spec.location is not None else None,
        "labels": dict(sorted(spec.labels.items())),
        "cost": msgspec.to_builtins(spec.cost) if spec.cost is not None else None,
        "phase": phase,
        "reason": status.reason if status is not None else "NotSeenYet",
        "workers": spec.worker_machine_count,
        "nodes": _nodes(status),
        "allocatable": room(status.allocatable) if status is not None else None,
        "requested": room(status.requested) if status is not None else None,
        "packages": [{"name": p.name, "phase": p.phase.value} for p in status.packages] if status is not None else [],
        "cordoned": status.cordoned if status is not None else False,
        "lostSince": status.lost_since if status is not None else None,
        "unlinkable": status.unlinkable if status is not None else None,
        "sharedLiqoId": status.shared_liqo_id if status is not None else None,
    }


def _nodes(status: ClusterStatus | None) -> Object | None:
    if status is None or (status.control_plane_desired is None and status.workers_desired is None):
        return None
    return {
        "controlPlaneReady": status.control_plane_ready or 0,
        "controlPlaneDesired": status.control_plane_desired or 0,
        "workersReady": status.workers_ready or 0,
        "workersDesired": status.workers_desired or 0,
    }


def room(asked: Mapping[str, str | int]) -> Object | None:
    """`cpuMillis`, `memoryBytes`, `gpus`; None where nothing is said."""
    if not asked:
        return None
    found = amounts(asked)
    return {"cpuMillis": found.cpu_millis, "memoryBytes": found.memory_bytes, "gpus": found.gpus}


# --- links ------------------------------------------------------------------------------------------------------------
def _links(orchestration: LowLevelOrchestration, carried: Spec) -> Iterator[Object]:
    seen = {pair(*status.clusters): status for status in orchestration.status.links}
    declared = {pair(*link) for link in orchestration.spec.links}
    for ends in sorted({pair(*link) for link in carried.links} | set(seen)):
        yield _link(orchestration.name, ends, seen.get(ends), ends in declared)


def _link(owner: str, ends: tuple[str, str], status: LinkStatus | None, declared: bool) -> Object:
    latency = millis(status.latency) if status is not None else None
    return {
        "id": f"{owner}/{ends[0]}/{ends[1]}",
        "orchestration": owner,
        "clusters": list(ends),
        "declared": declared,
        "phase": status.phase.value if status is not None else "Pending",
        "reason": status.reason if status is not None else "NotSeenYet",
        "measured": latency is not None,
        "latencyMs": latency,
        "jitterMs": millis(status.jitter) if status is not None else None,
        "throughputBps": status.bandwidth_bps if status is not None else None,
        "throughputMeasuredAt": status.bandwidth_measured_at if status is not None else None,
    }


def millis(text: str | None) -> float | None:
    """`1.9ms` as a number of milliseconds; None where it is no duration."""
    for unit in sorted(_MILLIS, key=len, reverse=True):
        number = (text or "").removesuffix(unit)
        if number != (text or ""):
            try:
                return round(float(number) * _MILLIS[unit], 6)
            except ValueError:
                return None
    return None


# --- workloads --------------------------------------------------------------------------------------------------------
def components(spec: Spec) -> Iterator[tuple[str, AppSpec, ComponentSpec]]:
    """(APPLICATION/COMPONENT, its application, itself)."""
    for app in spec.apps:
        for component in app.components:
            yield f"{app.name}/{component.name}", app, component


def _workloads(orchestration: LowLevelOrchestration, carried: Spec, adjustment: AdjustmentSpec) -> Iterator[Object]:
    clusters = {cluster.name: cluster for cluster in carried.clusters}
    homes = {(entry.component, entry.cluster): entry.home for entry in adjustment.places}
    pins = {path: component.cluster_selector for path, _, component in components(orchestration.spec)}
    told, policies = statuses(orchestration), orchestration.spec.policies
    for path, app, component in components(carried):
        item = _workload(orchestration.name, path, app, component, told.get(path))
        item["cluster"] = cluster = default_place(app, component, clusters)
        item["home"] = homes.get((path, cluster or ""))
        item["pinned"] = pins.get(path)
        item["heldBy"] = [policy.name for policy in policies if policy.hold and _scales(policy) == path]
        yield item


def _scales(policy: Policy) -> str | None:
    return policy.scale_component.component if policy.scale_component is not None else None


def statuses(orchestration: LowLevelOrchestration) -> dict[str, ComponentStatus]:
    """What was told of components, by APPLICATION/COMPONENT."""
    return {f"{app.name}/{one.name}": one for app in orchestration.status.apps for one in app.components}


def _workload(owner: str, path: str, app: AppSpec, component: ComponentSpec, status: ComponentStatus | None) -> Object:
    links = [encode(link) for link in app.link_requirements if component.name in link.members]
    requests = component.resources.requests if component.resources is not None else {}
    return {
        "id": f"{owner}/{path}",
        "orchestration": owner,
        "app": app.name,
        "component": component.name,
        "owner": app.owner,
        "appHome": app.cluster,
        "requests": room(requests),
        "hint": component.placement_hint.value if component.placement_hint is not None else None,
        "placement": encode(component.placement) if component.placement is not None else None,
        "replicas": component.replicas,
        "linkRequirements": links,
        "phase": status.phase.value if status is not None else "Pending",
        "reason": status.reason if status is not None else "NotSeenYet",
        "ready": status.ready if status is not None else None,
    }


# --- what waits -------------------------------------------------------------------------------------------------------
def _pending(orchestration: LowLevelOrchestration, carried: Spec) -> Iterator[Object]:
    if deleting({"metadata": orchestration.metadata}):
        return
    rules, told = orchestration.spec.placement or PlacementSpec(), statuses(orchestration)
    for path, app, component in components(carried):
        if component.cluster_selector is not None or component.placement is None:
            continue
        status = told.get(path)
        yield {
            "id": f"{orchestration.name}/{path}",
            "orchestration": orchestration.name,
            "app": app.name,
            "component": component.name,
            "owner": app.owner,
            "scheduler": rules.scheduler.value,
            "since": status.last_transition_time if status is not None else None,
            "decideBy": status.decide_by if status is not None else None,
            "reason": status.reason if status is not None else "NotSeenYet",
            "message": status.message if status is not None else None,
        }


def stamp(when: datetime) -> str:
    """RFC 3339 in UTC, to the second where it is whole."""
    return when.isoformat(timespec="milliseconds" if when.microsecond else "seconds").replace("+00:00", "Z")
