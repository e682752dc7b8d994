"""Use of CPU and memory, from a workload cluster's own metrics API (`metrics.k8s.io`), as a part of what was asked for.

One list for a component and look; a second one, of its pods, only while not all of them are ready.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from continuo.federation.names import TYPE, VIRTUAL_NODE_TYPE
from continuo.kube.port import Cluster
from continuo.orchestrator.loops.model import Sample
from continuo.resources.errors import ApiError, Forbidden, NotFound, ServiceUnavailable
from continuo.resources.kinds import NODE, NODE_METRICS, POD, POD_METRICS
from continuo.resources.meta import Object, deleting, is_true, labels_of
from continuo.resources.quantities import quantity


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one component."""

    namespace: str
    labels: str
    request: float
    """What one of them asks for of the resource."""
    ready: int
    """How many are ready, as far as is known without asking."""


def number(text: object) -> float:
    """A quantity; 0 for what is none."""
    try:
        return float(quantity(str(text)))
    except ValueError:
        return 0.0


def sentence(cluster: str, error: ApiError) -> str:
    """What to do about a metrics API that does not answer."""
    if isinstance(error, NotFound):
        return f"cluster {cluster} serves no metrics.k8s.io: install metrics-server there"
    if isinstance(error, Forbidden):
        return f"cluster {cluster} does not let Continuo read metrics.k8s.io: {error}"
    if isinstance(error, ServiceUnavailable):
        return f"the metrics API of cluster {cluster} is not available: {error}"
    return f"the metrics API of cluster {cluster} cannot be asked: {error}"


async def of_pods(client: Cluster, pods: Pods, resource: str, now: datetime, oldest: timedelta) -> tuple[Sample, ...]:
    """Use divided by request of each pod. Raises ApiError."""
    measured = (await client.list(POD_METRICS, pods.namespace, labels=pods.labels)).items
    if len(measured) == pods.ready:
        return tuple(_of_pod(entry, resource, pods.request, now, oldest, ready=True) for entry in measured)
    there = (await client.list(POD, pods.namespace, labels=pods.labels)).items
    by_name = {entry["metadata"]["name"]: entry for entry in measured}
    return tuple(
        _of_pod(by_name.get(pod["metadata"]["name"]), resource, pods.request, now, oldest,
                ready=is_true(pod, "Ready"), name=pod["metadata"]["name"])
        for pod in there
        if not deleting(pod) and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )  # fmt: skip


def _of_pod(
    entry: Object | None,
    resource: str,
    request: float,
    now: datetime,
    oldest: timedelta,
    *,
    ready: bool,
    name: str = "",
) -> Sample:
    if entry is None or request <= 0 or not _fresh(entry, now, oldest):
        return Sample(name or _name(entry), None, ready)
    used = [(container.get("usage") or {}).get(resource) for container in entry.get("containers") or ()]
    if not used or any(part is None for part in used):
        return Sample(_name(entry), None, ready)
    return Sample(_name(entry), sum(number(part) for part in used) / request, ready)


async def of_nodes(client: Cluster, resource: str, now: datetime, oldest: timedelta) -> tuple[Sample, ...]:
    """Use divided by what the node can take, of each node that takes pods. Raises ApiError."""
    measured, nodes = await asyncio.gather(client.list(NODE_METRICS), client.list(NODE))
    by_name = {entry["metadata"]["name"]: entry for entry in measured.items}
    found = []
    for node in nodes.items:
        if labels_of(node).get(TYPE) == VIRTUAL_NODE_TYPE or (node.get("spec") or {}).get("unschedulable"):
            continue
        entry = by_name.get(node["metadata"]["name"])
        whole = number(((node.get("status") or {}).get("allocatable") or {}).get(resource, 0))
        used = (entry.get("usage") or {}).get(resource) if entry is not None and _fresh(entry, now, oldest) else None
        value = number(used) / whole if used is not None and whole > 0 else None
        found.append(Sample(node["metadata"]["name"], value, is_true(node, "Ready")))
    return tuple(found)


def _name(entry: Object | None) -> str:
    return str(entry["metadata"]["name"]) if entry is not None else ""


def _fresh(entry: Object, now: datetime, oldest: timedelta) -> bool:
    """Whether it was measured lately; one that does not say when was not."""
    try:
        return now - datetime.fromisoformat(str(entry.get("timestamp"))) <= oldest
    except (ValueError, TypeError):
        return False
