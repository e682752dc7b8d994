"""What a pod asks of its node, as the scheduler counts it, in whole thousandths: sums of them are exact and quick."""

from __future__ import annotations

import math
from functools import lru_cache

from continuo.federation.quantities import quantity
from continuo.resources.meta import Object


@lru_cache(maxsize=4096)
def thousandths(text: str | int | float) -> int:
    """A quantity in thousandths, rounded up; 0 for what is none, as no API server would have taken it."""
    try:
        return math.ceil(quantity(text) * 1000)
    except ValueError:
        return 0


def requests_of(spec: Object) -> dict[str, int]:
    """What a pod asks for, in thousandths: its containers together, or one that runs before them if that is more.

    What is asked for the pod as a whole takes the place of what its containers ask; its overhead comes on top.
    """
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        _add(total, _requests(container))
    beside: dict[str, int] = {}
    most: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        asked = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(beside, asked)
            asked = {}
        for resource in {*asked, *beside}:
            most[resource] = max(most.get(resource, 0), asked.get(resource, 0) + beside.get(resource, 0))
    _add(total, beside)
    for resource, amount in most.items():
        total[resource] = max(total.get(resource, 0), amount)
    total.update(_requests(spec))
    _add(total, {name: thousandths(text) for name, text in (spec.get("overhead") or {}).items()})
    return total


def _requests(of: Object) -> dict[str, int]:
    asked = (of.get("resources") or {}).get("requests") or {}
    return {name: thousandths(text) for name, text in asked.items()}


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + amount
