"""How everything declared is, as samples: counted anew from the orchestrations themselves whenever somebody asks. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from continuo.resources.meta import Object
from continuo.resources.orchestration_status import AppPhase, ClusterPhase, LinkPhase, LoopStage, Phase
from continuo.resources.quantities import quantity
from continuo.telemetry import families as f
from continuo.telemetry.latency import seconds
from continuo.telemetry.metrics import Tally

_PAUSED = {LoopStage.HELD: "held", LoopStage.WAITING: "approval"}
_STATES = ("allocatable", "requested")


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a link beyond its status: seconds."""

    latency: float
    jitter: float
    bandwidth: int | None = None
    """Bits in a second, as long as its measurement counts."""


Measurements = Mapping[tuple[str, str, str], Measured]
"""By orchestration (NAMESPACE/NAME) and the two clusters in the order of the link."""


def tally(objects: Iterable[Object], measurements: Measurements) -> Tally:
    """The samples of all orchestrations. Known phases appear with zero, so that no panel says that there is no data."""
    told = Tally((*f.STATE, *f.LEGACY))
    _zeros(told)
    clouds: set[tuple[str, str, str]] = set()
    for obj in objects:
        status = obj.get("status") or {}
        told.add(f.ORCHESTRATIONS, (status.get("phase") or Phase.PENDING.value,))
        namespace = obj["metadata"].get("namespace") or ""
        where = f"{namespace}/{obj['metadata']['name']}"
        _clusters(told, where, namespace, obj.get("spec") or {}, status, clouds)
        latencies = _links(told, where, status, measurements)
        _apps(told, where, obj.get("spec") or {}, status, latencies)
        for loop in status.get("loops") or ():
            told.add(f.POLICIES, (loop.get("stage") or "",))
            if scope := _PAUSED.get(loop.get("stage")):
                told.add(f.LOOP_PAUSED, (scope,))
    for provider in {cloud[0] for cloud in clouds}:
        told.put(f.PROVIDERS, (provider,), sum(cloud[0] == provider for cloud in clouds))
    return told


def _zeros(told: Tally) -> None:
    for phase in Phase:
        told.add(f.ORCHESTRATIONS, (phase.value,), 0)
    for cluster_phase in ClusterPhase:
        told.add(f.CLUSTERS, (cluster_phase.value, "", "", ""), 0)
    for link_phase in LinkPhase:
        told.add(f.LINKS, (link_phase.value,), 0)
    for app_phase in AppPhase:
        told.add(f.APPLICATIONS, (app_phase.value,), 0)
        told.add(f.COMPONENTS, (app_phase.value, ""), 0)
    for stage in LoopStage:
        told.add(f.POLICIES, (stage.value,), 0)
    for scope in _PAUSED.values():
        told.add(f.LOOP_PAUSED, (scope,), 0)
    told.add(f.PROVIDERS, ("",), 0)
    for family in f.LEGACY:
        told.add(family, (), 0)


def _clusters(
    told: Tally, where: str, namespace: str, spec: Object, status: Object, clouds: set[tuple[str, str, str]]
) -> None:
    declared = {entry.get("name"): entry for entry in spec.get("clusters") or ()}
    known = {entry["name"]: entry for entry in status.get("clusters") or ()}
    for name in {**declared, **known}:
        wish, seen = declared.get(name) or {}, known.get(name) or {}
        provider = wish.get("provider") or ("" if not wish else "openstack")
        phase = seen.get("phase") or ClusterPhase.PENDING.value
        told.add(
            f.CLUSTERS, (phase, provider, wish.get("tier") or "", wish.get("kubernetes-type") or "")
        )  # fmt: skip
        told.add(f.LEGACY[0])
        if provider:
            cloud = _cloud(namespace, provider, wish)
            if cloud not in clouds:
                clouds.add(cloud)
                told.add(f.LEGACY[1])
        told.put(f.CLUSTER_INFO, (where, name, f"{where.rpartition('/')[2]}-{name}"), 1)
        _cluster(told, (where, name), seen, phase)


def _cloud(namespace: str, provider: str, wish: Object) -> tuple[str, str, str]:
    """What tells one cloud from another: the credentials; an adopted cluster has a kubeconfig of its own."""
    cloud = wish.get("cloud") or {}
    entry = f"{cloud.get('secret') or ''}/{cloud.get('name') or ''}" if provider != "existing" else ""
    return provider, namespace if entry else "", entry


def _cluster(told: Tally, labels: tuple[str, str], seen: Object, phase: str) -> None:
    if phase != ClusterPhase.DELETING.value:  # what is meant to go is no reason to wake anybody
        told.put(f.CLUSTER_READY, labels, float(phase == ClusterPhase.READY.value))
        told.put(f.CLUSTER_LOST, labels, float(bool(seen.get("lostSince"))))
    for role, ready, desired in (
        ("control-plane", "controlPlaneReady", "controlPlaneDesired"), ("worker", "workersReady", "workersDesired"),
    ):  # fmt: skip
        if desired in seen or ready in seen:
            told.put(f.NODES, (*labels, role, "ready"), seen.get(ready) or 0)
            told.put(f.NODES, (*labels, role, "desired"), seen.get(desired) or 0)
    for state in _STATES:
        for resource, amount in (seen.get(state) or {}).items():
            family = f.CPU if resource == "cpu" else f.MEMORY if resource == "memory" else None
            if family is None and "gpu" in resource:
                family = f.GPUS
            if family is not None and (value := _number(str(amount))) is not None:
                told.add(family, (*labels, state), value)


@functools.lru_cache(4096)
def _number(text: str) -> float | None:
    try:
        return float(quantity(text))
    except ValueError:
        return None  # somebody else wrote the status; what cannot be read is not told


def _links(
    told: Tally, where: str, status: Object, measurements: Measurements
) -> dict[frozenset[str], Measured | None]:
    found: dict[frozenset[str], Measured | None] = {}
    for link in status.get("links") or ():
        source, target = link["clusters"]
        told.add(f.LINKS, (link.get("phase") or LinkPhase.PENDING.value,))
        labels = (where, source, target)
        connected = link.get("phase") == LinkPhase.CONNECTED.value
        if link.get("phase") != LinkPhase.UNPEERING.value:
            told.put(f.LINK_CONNECTED, labels, float(connected))
        measured = measurements.get(labels) if connected else None
        if measured is None and connected and (latency := seconds(link.get("latency"))) is not None:
            told.put(f.LINK_LATENCY, labels, latency)
            measured = Measured(latency, 0.0)
        elif measured is not None:
            told.put(f.LINK_LATENCY, labels, measured.latency)
            told.put(f.LINK_JITTER, labels, measured.jitter)
            if measured.bandwidth is not None:
                told.put(f.LINK_BANDWIDTH, labels, measured.bandwidth)
        found[frozenset((source, target))] = measured
    return found


def _apps(
    told: Tally,
    where: str,
    spec: Object,
    status: Object,
    latencies: Mapping[frozenset[str], Measured | None],
) -> None:
    wishes = {entry.get("name"): entry for entry in spec.get("apps") or ()}
    for app in status.get("apps") or ():
        phase = app.get("phase") or AppPhase.PENDING.value
        told.add(f.APPLICATIONS, (phase,))
        told.add(f.LEGACY[2])
        if phase != AppPhase.UNDEPLOYING.value:
            told.put(f.APPLICATION_READY, (where, app["name"]), float(phase == AppPhase.RUNNING.value))
        for component in app.get("components") or ():
            told.add(f.COMPONENTS, (component.get("phase") or AppPhase.PENDING.value, component.get("cluster") or ""))
            told.add(f.LEGACY[3])
        places = {entry["name"]: entry.get("cluster") for entry in app.get("components") or ()}
        for wanted in (wishes.get(app["name"]) or {}).get("link-requirements") or ():
            _requirement(told, (where, app["name"]), wanted, places, latencies)


def _requirement(
    told: Tally, labels: tuple[str, str], wanted: Object, places: Mapping[str, str | None],
    latencies: Mapping[frozenset[str], Measured | None],
) -> None:  # fmt: skip
    """Told only where every pair of clusters that the requirement spans was measured."""
    clusters = sorted({place for name in wanted.get("members") or () if (place := places.get(name))})
    pairs = [frozenset((a, b)) for i, a in enumerate(clusters) for b in clusters[i + 1 :]]
    found = [latencies.get(pair) for pair in pairs]
    measured = [entry for entry in found if entry is not None]
    if len(measured) != len(pairs):
        return
    for kind, limit, values in (
        ("latency", wanted.get("latencyMs"), [entry.latency for entry in measured]),
        ("jitter", wanted.get("jitterMs"), [entry.jitter for entry in measured]),
    ):
        if limit is not None:
            met = max(values, default=0.0) * 1000 <= float(limit)
            told.put(f.REQUIREMENT_MET, (*labels, wanted.get("name") or "", kind), float(met))
    least, rates = wanted.get("bandwidthBps"), [entry.bandwidth for entry in measured if entry.bandwidth is not None]
    if least is not None and len(rates) == len(pairs):
        met = min(rates, default=int(least)) >= int(least)
        told.put(f.REQUIREMENT_MET, (*labels, wanted.get("name") or "", "bandwidth"), float(met))
