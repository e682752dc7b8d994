"""How much is asked of clusters, and how much is free there."""

from __future__ import annotations

import math
from collections.abc import Iterable

from continuo.orchestrator.loops.model import Amounts, Capacity, ClusterView, ComponentView, LoopInput
from continuo.orchestrator.loops.policies.suits import unsuitable


def well(cluster: ClusterView) -> bool:
    """Whether pods can be put there now."""
    capacity = cluster.capacity
    down = capacity is not None and (capacity.cordoned or not capacity.ready)
    return cluster.usable and cluster.lost_since is None and cluster.spec is not None and not down


def free(capacity: Capacity) -> Amounts:
    """What nobody has asked for yet."""
    return capacity.allocatable - capacity.requested - capacity.pending


def total(components: Iterable[ComponentView]) -> Amounts:
    """What they ask for together."""
    found = Amounts()
    for component in components:
        found += component.total
    return found


def lacking(need: Amounts, room: Amounts) -> str:
    """What does not fit, in words: `cpu 1500m of 1200m`; empty where everything does."""
    if need.cpu_millis > max(room.cpu_millis, 0):
        return f"cpu {need.cpu_millis}m of {max(room.cpu_millis, 0)}m"
    if need.memory_bytes > max(room.memory_bytes, 0):
        return f"memory {need.memory_bytes >> 20}Mi of {max(room.memory_bytes, 0) >> 20}Mi"
    return f"{need.gpus} of {max(room.gpus, 0)} GPUs" if need.gpus > max(room.gpus, 0) else ""


def nodes_for(need: Amounts, capacity: Capacity) -> int:
    """How many nodes like those that are there hold that much."""
    nodes, all_of_it = capacity.usable_nodes, capacity.allocatable
    pairs = (
        (need.cpu_millis, all_of_it.cpu_millis),
        (need.memory_bytes, all_of_it.memory_bytes),
        (need.gpus, all_of_it.gpus),
    )
    return max((math.ceil(asked * nodes / whole) for asked, whole in pairs if asked > 0 and whole > 0), default=0)


def waiting_for(given: LoopInput, cluster: ClusterView) -> list[ComponentView]:
    """The components that fit nowhere and that this cluster could have if it had room."""
    found = (given.components.get(entry.component) for entry in given.unplaced)
    return [c for c in found if c is not None and cluster.spec is not None and not unsuitable(c, cluster.spec)]
