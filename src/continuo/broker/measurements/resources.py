"""What a provider's cluster has and what of it is free, from its nodes and pods as its API shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from continuo.broker.readers.demand import demand, uses_its_node
from continuo.federation import names
from continuo.federation.quantities import quantity
from continuo.resources.meta import Object, is_true, labels_of

_MEASURED = {"cpu": "cores", "memory": "bytes", "pods": "1"}
_VIRTUAL = "continuo.dev/virtual-node"


def resources_of(nodes: Iterable[Object], pods: Iterable[Object]) -> dict[str, tuple[float, str]]:
    """Metric -> value and unit. Only nodes that are ready and take pods count; virtual ones are somebody else's."""
    able = {node["metadata"]["name"]: node for node in nodes if _counts(node)}
    has = dict.fromkeys(_MEASURED, Fraction(0))
    for node in able.values():
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        for name in _MEASURED.keys() & allocatable.keys():
            has[name] += quantity(allocatable[name])
    free, running = dict(has), 0
    for pod in pods:
        if uses_its_node(pod) and pod["spec"]["nodeName"] in able:
            running += 1
            for name, amount in demand(pod["spec"]).items():
                if name in free:
                    free[name] -= amount
    found: dict[str, tuple[float, str]] = {
        "nodes_ready": (float(len(able)), "1"),
        "pods_running": (float(running), "1"),
    }
    for name, unit in _MEASURED.items():
        found[f"{name}_allocatable"] = (float(has[name]), unit)
        found[f"{name}_free"] = (float(max(free[name], Fraction(0))), unit)
    return found


def _counts(node: Object) -> bool:
    if (node.get("spec") or {}).get("unschedulable") or not is_true(node, "Ready"):
        return False
    labels = labels_of(node)
    return labels.get(names.TYPE) != names.VIRTUAL_NODE_TYPE and _VIRTUAL not in labels
