"""What somebody bought of a cluster, as that cluster and a virtual node of it say it: quota, limits, an offer. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from continuo.federation.quantities import quantity
from continuo.federation.reflection.bound import ASSUMED, assumed, extended
from continuo.resources.meta import Object

PODS = "110"
"""Pods of a plan that says nothing of them."""
_LONGEST = 63
_PLAIN = ("cpu", "memory", "ephemeral-storage", "pods")


def short(name: str, most: int = _LONGEST) -> str:
    """The name, or as much of it as a label or a node's name holds, told apart by its hash."""
    if len(name) <= most:
        return name
    return f"{name[: most - 9].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def node_offer(resources: Mapping[str, str | int]) -> dict[str, str]:
    """What the node has: nothing but what was bought. Kubernetes knows storage on nodes under another name."""
    amounts = {name: str(amount) for name, amount in resources.items()}
    if "storage" in amounts:
        amounts.setdefault("ephemeral-storage", amounts["storage"])
    offer = {name: amounts[name] for name in _PLAIN if name in amounts}
    offer |= {name: _whole(amount) for name, amount in amounts.items() if extended(name)}
    return {"pods": PODS, **offer}


def _whole(amount: str) -> str:
    """Extended resources are counted."""
    exact = quantity(amount)
    return amount if exact.denominator == 1 else str(int(exact))


def quota(resources: Mapping[str, str | int], there: Iterable[str] = ()) -> dict[str, str]:
    """At most so much in the namespace; of what the provider's nodes have (`there`) and nobody bought, nothing."""
    amounts = {name: str(amount) for name, amount in resources.items()}
    hard = {f"requests.{name}": amounts[name] for name in (*_PLAIN[:3], "storage") if name in amounts}
    hard |= {f"requests.{name}": "0" for name in sorted(there) if extended(name)}
    hard |= {f"requests.{name}": _whole(amount) for name, amount in amounts.items() if extended(name)}
    return {**hard, "pods": amounts.get("pods", PODS)}


def limits(resources: Mapping[str, str | int]) -> list[Object]:
    """So that containers that ask for nothing are let in and counted, and none takes more than was bought."""
    most = {name: str(resources[name]) for name in ASSUMED if name in resources}
    if not most:
        return []
    asked = {name: assumed(name, amount) for name, amount in most.items()}
    return [{"type": "Container", "default": most, "defaultRequest": asked, "max": most}]
