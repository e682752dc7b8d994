"""What one pod asks of its node, as amounts."""

from __future__ import annotations

from fractions import Fraction

from continuo.federation.requests import requests_of
from continuo.resources.meta import Object

_OVER = ("Succeeded", "Failed")


def uses_its_node(pod: Object) -> bool:
    """Whether the pod has a node and still takes something of it."""
    return bool(pod["spec"].get("nodeName")) and (pod.get("status") or {}).get("phase") not in _OVER


def asked(spec: Object) -> dict[str, int]:
    """What the scheduler counts for it, and the pod itself as one of its node's, in thousandths."""
    return {"pods": 1000} | requests_of(spec)


def demand(spec: Object) -> dict[str, Fraction]:
    """The same as amounts."""
    return {name: Fraction(amount, 1000) for name, amount in asked(spec).items()}
