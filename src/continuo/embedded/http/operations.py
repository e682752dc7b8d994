"""The `paths` of an OpenAPI document: which requests a resource takes, with which parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from continuo.embedded.http.subresources import subresources_of
from continuo.embedded.port import ResourceType
from continuo.resources.meta import Kind

_REFERENCE = "#/components/schemas/"
_METHODS = {"get": "get", "list": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}
_METHODS["deletecollection"] = "delete"
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"

Name = Callable[[ResourceType], str]


def _query(name: str, about: str, type: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": {"type": type, "uniqueItems": True}}


_PRETTY = _query("pretty", "Accepted and ignored: answers are compact.")
_DRY_RUN = _query("dryRun", "All: nothing is stored.")
_MANAGER = _query("fieldManager", "The name that owns the fields which this request sets.")
_VALIDATION = _query("fieldValidation", "Ignore, Warn or Strict: what happens to unknown and duplicate fields.")
_FORCE = _query("force", "Take over fields that others own; only for apply.", "boolean")
_WRITE = (_DRY_RUN, _MANAGER, _VALIDATION)
_LIST = (
    _query("allowWatchBookmarks", "Send BOOKMARK events.", "boolean"),
    _query("continue", "The token of the page before."),
    _query("fieldSelector", "Restrict by fields."),
    _query("labelSelector", "Restrict by labels."),
    _query("limit", "At most so many objects in one answer.", "integer"),
    _query("resourceVersion", "The version to read at, or to watch from."),
    _query("resourceVersionMatch", "Exact or NotOlderThan."),
    _query("sendInitialEvents", "Begin a watch with the present state.", "boolean"),
    _query("timeoutSeconds", "End a watch after this time.", "integer"),
    _query("watch", "Stream changes instead of listing.", "boolean"),
)
_DELETE = (
    _DRY_RUN,
    _query("gracePeriodSeconds", "Seconds until the object is removed.", "integer"),
    _query("propagationPolicy", "Orphan, Background or Foreground."),
)
_PARAMETERS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "get": (),
    "list": _LIST,
    "create": _WRITE,
    "update": _WRITE,
    "patch": (*_WRITE, _FORCE),
    "delete": _DELETE,
    "deletecollection": (*_DELETE, *_LIST),
}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}


def paths_of(resources: Iterable[ResourceType], name: Name) -> dict[str, Any]:
    """Every path of the resources."""
    paths: dict[str, Any] = {}
    for resource in resources:
        kind = resource.kind
        collection = kind.path("{namespace}" if kind.namespaced else None)
        item = f"{collection}/{{name}}"
        _add(paths, collection, resource, ("list", "create", "deletecollection"), name)
        _add(paths, item, resource, ("get", "update", "patch", "delete"), name)
        if kind.namespaced and "list" in resource.verbs:
            paths[kind.path()] = {"get": _operation("list", resource, name), "parameters": [_PRETTY]}
        for sub in subresources_of(resource):
            if sub.name in ("status", "scale"):
                _add(paths, f"{item}/{sub.name}", resource, ("get", "update", "patch"), name, sub.kind)
    return paths


def _add(
    paths: dict[str, Any],
    path: str,
    resource: ResourceType,
    verbs: tuple[str, ...],
    name: Name,
    kind: tuple[str, str, str] | None = None,
) -> None:
    operations: dict[str, Any] = {
        _METHODS[verb]: _operation(verb, resource, name, kind) for verb in verbs if kind or verb in resource.verbs
    }
    if operations:
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        operations["parameters"] = [*map(_path_parameter, names), _PRETTY]
        paths[path] = operations


def _operation(
    verb: str, resource: ResourceType, name: Name, kind: tuple[str, str, str] | None = None
) -> dict[str, Any]:
    served = resource.kind
    action = {"create": "post", "update": "put"}.get(verb, verb)
    group, version, word = kind or (served.group, served.version, served.kind)
    schema = {"$ref": _REFERENCE + name(resource) + ("List" if verb == "list" else "")}
    answer: dict[str, Any] = {"description": "OK"}
    if verb not in ("delete", "deletecollection") and not _is_other(served, kind):
        answer["content"] = {"application/json": {"schema": schema}}
    operation: dict[str, Any] = {
        "tags": [f"{served.group or 'core'}_{served.version}"],
        "parameters": list(_PARAMETERS[verb]),
        "responses": {"200": answer, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": word},
    }
    body = _request_body(verb, resource, schema, _is_other(served, kind))
    if body:
        operation["requestBody"] = body
    return operation


def _is_other(served: Kind, kind: tuple[str, str, str] | None) -> bool:
    """Whether a subresource has a kind of its own (scale)."""
    return kind is not None and kind[2] != served.kind


def _request_body(verb: str, resource: ResourceType, schema: Any, other: bool) -> dict[str, Any] | None:
    if verb == "patch":
        kinds = (*_PATCHES, _STRATEGIC) if resource.builtin else _PATCHES
        return {"content": {media: {"schema": {"type": "object"}} for media in kinds}, "required": True}
    if verb in ("create", "update"):
        return {"content": {"*/*": {"schema": {"type": "object"} if other else schema}}, "required": True}
    return None
