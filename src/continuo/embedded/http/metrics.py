"""`metrics.k8s.io`: what pods and nodes use, in the place of metrics-server. Read only, and nothing is stored."""

from __future__ import annotations

from typing import Any

from continuo.embedded.http.call import Call
from continuo.embedded.http.paths import Target
from continuo.embedded.http.selectors import parse_selection
from continuo.embedded.http.shapes import shape_list, shape_object, shape_of
from continuo.embedded.http.wire import Response, json_response
from continuo.embedded.port import ResourceType
from continuo.resources.errors import MethodNotAllowed, NotFound
from continuo.resources.kinds import NODE, NODE_METRICS, POD, POD_METRICS
from continuo.resources.meta import Kind, Object

_QUANTITIES = {"type": "object", "additionalProperties": {"type": "string"}}
_COMMON: dict[str, Any] = {
    "timestamp": {"type": "string", "format": "date-time", "description": "The end of the window."},
    "window": {"type": "string", "description": "The time over which was averaged."},
}
_CONTAINER = {"type": "object", "properties": {"name": {"type": "string"}, "usage": _QUANTITIES}}


def _type(kind: Kind, own: dict[str, Any], path: str) -> ResourceType:
    return ResourceType(
        kind, "", f"{kind.kind}List", verbs=("get", "list"), builtin=False,
        columns=(
            {"name": "CPU", "type": "string", "jsonPath": f"{path}.cpu"},
            {"name": "Memory", "type": "string", "jsonPath": f"{path}.memory"},
            {"name": "Window", "type": "string", "jsonPath": ".window"},
        ),
        schema={"type": "object", "description": f"What a {kind.kind[:-7]} uses.", "properties": {**_COMMON, **own}},
    )  # fmt: skip


_TYPES = {
    "pods": _type(POD_METRICS, {"containers": {"type": "array", "items": _CONTAINER}}, ".containers[0].usage"),
    "nodes": _type(NODE_METRICS, {"usage": _QUANTITIES}, ".usage"),
}
_MEASURED = {"pods": POD, "nodes": NODE}


def metric_types() -> tuple[ResourceType, ...]:
    """What discovery tells of."""
    return tuple(_TYPES.values())


def metric_type(target: Target) -> ResourceType | None:
    """The resource that a path names, if it is one of these."""
    if (target.group, target.version) != (POD_METRICS.group, POD_METRICS.version) or target.subresource:
        return None
    return _TYPES.get(target.plural)


def answer(call: Call) -> Response:
    """GET of one, or of all that selectors match."""
    api, kind, metering = call.api, _MEASURED[call.kind.plural], call.context.metering
    measure = metering.pods if kind is POD else metering.nodes
    if call.verb == "get":
        found = measure(api, [api.get(kind, call.target.name, call.target.namespace)])
        if not found:
            raise NotFound(f'{call.kind.resource} "{call.target.name}" not found: it is not measured (yet)')
        return json_response(shape_object(found[0], call.resource, shape_of(call.request), call.context.now()))
    if call.verb != "list":
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
    items = measure(api, _selected(call, kind))
    metadata: Object = {"resourceVersion": str(api.version)}
    return json_response(
        shape_list(items, call.resource, shape_of(call.request), metadata, call.context.now())
    )  # fmt: skip


def _selected(call: Call, kind: Kind) -> list[Object]:
    selection = parse_selection(call.request.query, call.resource)
    objects = call.api.list(kind, call.target.namespace, selection.equal_labels or None)
    return [obj for obj in objects if selection.matches(obj)]
