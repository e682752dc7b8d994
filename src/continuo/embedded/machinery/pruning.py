"""Taking fields away that a structural schema does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.fields import Place, path_of, step

_EMBEDDED: Mapping[str, Any] = {
    "apiVersion": {},
    "kind": {},
    "metadata": {"x-kubernetes-preserve-unknown-fields": True},
}


def prune(schema: Mapping[str, Any], value: Any, path: str = "") -> tuple[Any, list[str]]:
    """The value without unknown fields, and their paths; the same object when there are none."""
    unknown: list[str] = []
    return _prune(schema, value, path, unknown, root=True), unknown


def _prune(schema: Mapping[str, Any], value: Any, place: Place, unknown: list[str], root: bool = False) -> Any:
    if isinstance(value, dict):
        return _prune_map(schema, value, place, unknown, root)
    items = schema.get("items")
    if not isinstance(value, list) or not isinstance(items, Mapping):
        return value
    out = value
    for index, item in enumerate(value):
        pruned = _prune(items, item, (place, index), unknown)
        if pruned is not item:
            out = list(value) if out is value else out
            out[index] = pruned
    return out


def _prune_map(
    schema: Mapping[str, Any], value: dict[str, Any], place: Place, unknown: list[str], root: bool
) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    if root or schema.get("x-kubernetes-embedded-resource"):
        properties = {**properties, **_EMBEDDED}
    extra = schema.get("additionalProperties")
    keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields")) or extra is True
    out = value
    for name, child in value.items():
        inner = properties.get(name, extra)
        if isinstance(inner, Mapping):
            pruned = _prune(inner, child, step(place, name), unknown) if child.__class__ in _NESTED else child
            if pruned is child:
                continue
            out = dict(value) if out is value else out
            out[name] = pruned
        elif not keeps:
            unknown.append(path_of(step(place, name)))
            out = dict(value) if out is value else out
            del out[name]
    return out


_NESTED = (dict, list)


def without_nulls(value: Any) -> Any:
    """The value without fields that are null, which in built-in kinds means "not given"; shared where there are none."""
    out = value
    for name, child in value.items() if isinstance(value, dict) else enumerate(value):
        if child.__class__ in _NESTED:
            kept = without_nulls(child)
        elif child is None and isinstance(value, dict):
            kept = None
        else:
            continue
        if kept is None or kept is not child:
            out = value.copy() if out is value else out
            if kept is None:
                del out[name]
            else:
                out[name] = kept
    return out
