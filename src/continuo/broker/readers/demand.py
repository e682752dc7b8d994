"""What one pod asks of its node, counted as the scheduler counts it."""

from __future__ import annotations

from fractions import Fraction

from continuo.broker.readers.amounts import ZERO, accepted
from continuo.resources.meta import Object

_ONE = Fraction(1)
_OVER = ("Succeeded", "Failed")


def uses_its_node(pod: Object) -> bool:
    """Whether the pod has a node and still takes something of it."""
    return bool(pod["spec"].get("nodeName")) and (pod.get("status") or {}).get("phase") not in _OVER


def demand(spec: Object) -> dict[str, Fraction]:
    """The containers together, or the largest moment of their start if that is more; pod-level requests; overhead."""
    whole: dict[str, Fraction] = {"pods": _ONE}
    for container in spec.get("containers") or ():
        _add(whole, _requests(container))
    _start(whole, spec.get("initContainers") or [])
    whole.update(_requests(spec))
    _add(whole, accepted(spec.get("overhead")))
    return whole


def _start(whole: dict[str, Fraction], containers: list[Object]) -> None:
    """Raise `whole` to what the start takes: one init container at a time, beside the sidecars before it."""
    if not containers:
        return
    sidecars: dict[str, Fraction] = {}
    peak: dict[str, Fraction] = {}
    for container in containers:
        asked = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(whole, asked)
            _add(sidecars, asked)
            asked = {}
        for name in sidecars.keys() | asked.keys():
            moment = sidecars.get(name, ZERO) + asked.get(name, ZERO)
            peak[name] = max(peak.get(name, ZERO), moment)
    for name, value in peak.items():
        whole[name] = max(whole.get(name, ZERO), value)


def _requests(of: Object) -> dict[str, Fraction]:
    return accepted((of.get("resources") or {}).get("requests"))


def _add(to: dict[str, Fraction], more: dict[str, Fraction]) -> None:
    for name, value in more.items():
        to[name] = to.get(name, ZERO) + value
