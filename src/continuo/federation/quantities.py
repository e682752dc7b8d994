"""Kubernetes quantities as exact numbers: to add up what a cluster lends, and to see that 1000m is 1."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from continuo.federation import names
from continuo.resources.meta import Object, labels_of
from continuo.resources.quantities import SUFFIXES, quantity

__all__ = ["canonical", "capacity", "quantity", "same_quantity"]


def canonical(resource: str, value: Fraction) -> str:
    """The spelling Kubernetes itself would choose: `1500m` of cpu, `8Gi` of memory, else plain counts."""
    if resource == "memory":
        whole = int(value)
        for suffix in ("Ti", "Gi", "Mi", "Ki"):
            if whole and whole % SUFFIXES[suffix] == 0:
                return f"{whole // int(SUFFIXES[suffix])}{suffix}"
        return str(whole)
    return str(value.numerator) if value.denominator == 1 else f"{int(value * 1000)}m"


def same_quantity(left: object, right: object) -> bool:
    """Whether two spellings mean the same amount."""
    if left == right:
        return True
    try:
        return quantity(str(left)) == quantity(str(right))
    except ValueError:
        return False


def capacity(nodes: Iterable[Object]) -> dict[str, str]:
    """What the real nodes of a cluster can run together (cpu, memory, pods); virtual nodes do not count."""
    total: dict[str, Fraction] = {}
    for node in nodes:
        if labels_of(node).get(names.TYPE) == names.VIRTUAL_NODE_TYPE:
            continue
        for resource, amount in ((node.get("status") or {}).get("allocatable") or {}).items():
            if resource in ("cpu", "memory", "pods"):
                total[resource] = total.get(resource, Fraction(0)) + quantity(amount)
    return {resource: canonical(resource, amount) for resource, amount in sorted(total.items())}
