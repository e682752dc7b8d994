"""The `scale` subresource: one shape for everything that has replicas."""

from __future__ import annotations

from typing import Any

from continuo.embedded.http.bodies import read_object, read_patch
from continuo.embedded.http.call import Call
from continuo.embedded.http.columns_workloads import selector_text
from continuo.embedded.http.wire import Response, json_response, warning_headers
from continuo.embedded.machinery.patch import json_patch, merge_patch
from continuo.resources.errors import BadRequest, Conflict, Invalid, MethodNotAllowed
from continuo.resources.meta import Object

SCALE = ("autoscaling", "v1", "Scale")


def _path(path: str) -> list[str]:
    return path.lstrip(".").split(".")


def _read(obj: Object, path: str | None) -> Any:
    value: Any = obj
    for part in _path(path) if path else ():
        value = value.get(part) if isinstance(value, dict) else None
    return value if path else None


def _selector(call: Call, obj: Object) -> str:
    found = _read(obj, (call.resource.scale or {}).get("labelSelectorPath"))
    if isinstance(found, str):
        return found
    selector = (obj.get("spec") or {}).get("selector") if call.resource.builtin else found
    return selector_text(selector) if selector else ""


def _scale_of(call: Call, obj: Object) -> Object:
    paths, metadata = call.resource.scale or {}, obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    wanted = _read(obj, paths.get("specReplicasPath"))
    status: Object = {"replicas": _read(obj, paths.get("statusReplicasPath")) or 0}
    selector = _selector(call, obj)
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {} if wanted is None else {"replicas": wanted},
        "status": status,
    }


def get(call: Call) -> Response:
    """GET .../scale."""
    return json_response(_scale_of(call, call.api.get(call.kind, call.target.name, call.target.namespace)))


def update(call: Call) -> Response:
    """PUT .../scale."""
    obj = call.api.get(call.kind, call.target.name, call.target.namespace)
    return _store(call, obj, read_object(call.request))


def patch(call: Call) -> Response:
    """PATCH .../scale, in the dialects that make sense for so small an object."""
    how, body = read_patch(call.request)
    obj = call.api.get(call.kind, call.target.name, call.target.namespace)
    old = _scale_of(call, obj)
    return _store(call, obj, json_patch(old, body) if how == "json" else merge_patch(old, body))


def _store(call: Call, obj: Object, scale: Object) -> Response:
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    name = call.target.name
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise BadRequest(f"spec.replicas of the scale of {name} is {replicas!r}; it must be a whole number")
    if replicas < 0:
        raise Invalid(
            f'Scale.autoscaling "{name}" is invalid: spec.replicas: Invalid value: {replicas}: '
            "must be greater than or equal to 0"
        )
    given = (scale.get("metadata") or {}).get("resourceVersion")
    if given and given != obj["metadata"]["resourceVersion"]:
        raise Conflict(
            f'Operation cannot be fulfilled on {call.kind.resource} "{name}": the object has been modified; '
            "please apply your changes to the latest version and try again",
            details={"name": name, "group": call.kind.group, "kind": call.kind.plural},
        )
    change: Any = replicas
    for part in reversed(_path((call.resource.scale or {})["specReplicasPath"])):
        change = {part: change}
    write = call.write()
    new = call.api.patch(call.kind, name, call.target.namespace, "merge", change, write, subresource="scale")
    return json_response(_scale_of(call, new), 200, warning_headers(write.warnings))


def handle(call: Call) -> Response:
    """Any method on .../scale."""
    handler = {"get": get, "update": update, "patch": patch}.get(call.verb)
    if handler is None:
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
    return handler(call)
