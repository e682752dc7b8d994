"""Requests as Crossplane makes them, and what a pipeline does with the answers: a small `crossplane render`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from continuo.iot.compose import wire
from continuo.resources.meta import Object

BOARD = {"apiVersion": "iot.continuo.dev/v1alpha1", "kind": "Board"}
ROUNDS = 5
REQUIRED_RESOURCES = 2


def board(name: str, *, online: bool = True, **labels: str) -> Object:
    status = {"atProvider": {"uuid": f"uuid-{name}", "status": "online" if online else "offline"}}
    return {**BOARD, "metadata": {"name": name, "namespace": "lab", "labels": labels}, "status": status}


def claim(name: str = "city", *, status: Object | None = None, **spec: Any) -> Object:
    found = {"apiVersion": "platform.continuo.dev/v1alpha1", "kind": "ContinuumSlice", "spec": spec}
    found["metadata"] = {"name": name, "namespace": "lab", "uid": "11"}
    return {**found, "status": status} if status else found


def request(
    composite: Object, boards: Sequence[Object] | None = None, observed: Mapping[str, Object] | None = None,
    desired: Mapping[str, Object] | None = None, capabilities: Sequence[int] = (REQUIRED_RESOURCES,),
) -> Any:  # fmt: skip
    asked = wire.Request()
    asked.meta.tag = "a-tag"
    asked.meta.capabilities.extend(capabilities)
    wire.fill(asked.observed.composite.resource, composite)
    for state, resources in ((asked.observed, observed or {}), (asked.desired, desired or {})):
        for name, obj in resources.items():
            wire.fill(state.resources[name].resource, obj)
    if boards is not None:
        told = asked.required_resources["boards"]
        told.SetInParent()
        for obj in boards:
            wire.fill(told.items.add().resource, obj)
    return asked


def render(
    function: Callable[[Any], Any], composite: Object, boards: Sequence[Object], observed: Mapping[str, Object] | None = None
) -> Any:  # fmt: skip
    """Call until what is required is stable, as Crossplane does; the last answer."""
    found, required = None, None
    for _ in range(ROUNDS):
        answer = function(request(composite, found, observed))
        if any(result.severity == wire.FATAL for result in answer.results):
            return answer
        if required is not None and answer.requirements == required:
            return answer
        required = answer.requirements
        found = [obj for obj in boards if selects(required.resources, obj)] if "boards" in required.resources else None
    raise AssertionError("what is required was not stable after five rounds")


def selects(required: Any, obj: Object) -> bool:
    asked = required["boards"]
    assert (asked.api_version, asked.kind) == (obj["apiVersion"], obj["kind"])
    labels = obj["metadata"]["labels"]
    return asked.namespace == obj["metadata"]["namespace"] and all(
        labels.get(label) == value for label, value in asked.match_labels.labels.items()
    )


def desired(answer: Any) -> dict[str, Object]:
    return {name: wire.plain(found.resource) for name, found in answer.desired.resources.items()}


def ready(answer: Any) -> set[str]:
    return {name for name, found in answer.desired.resources.items() if found.ready == wire.READY_TRUE}


def status(answer: Any) -> Object:
    return wire.plain(answer.desired.composite.resource).get("status") or {}


def conditions(answer: Any) -> dict[str, tuple[int, str, str]]:
    return {found.type: (found.status, found.reason, found.message) for found in answer.conditions}


def exists(obj: Object, *, is_ready: bool = True, **provided: Any) -> Object:
    """A composed object as the cluster has it."""
    told = {
        "type": "Ready",
        "status": "True" if is_ready else "False",
        "reason": "Available" if is_ready else "Creating",
    }
    metadata = {**obj["metadata"], "uid": "some", "resourceVersion": "7", "generation": 1}
    return {**obj, "metadata": metadata, "status": {"conditions": [told], "atProvider": provided}}
