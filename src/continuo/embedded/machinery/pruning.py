"""Taking fields away that a structural schema does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.fields import Place, path_of, step
from continuo.embedded.machinery.typed import ALWAYS

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


def tidy(schema: Mapping[str, Any], value: Any) -> Any:
    """The value as a built-in kind keeps it: no nulls, and no empty lists and maps where a field may be left out.

    Shared where there is nothing to leave out.
    """
    if isinstance(value, dict):
        return _tidy_map(schema, value)
    inner = schema.get("items") or {}
    out = value
    for index, item in enumerate(value):
        if item.__class__ in _NESTED and (kept := tidy(inner, item)) is not item:
            out = value.copy() if out is value else out
            out[index] = kept
    return out


def _tidy_map(schema: Mapping[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    out = value
    for name, child in value.items():
        if child.__class__ in _NESTED:
            inner = properties.get(name)
            if not child and inner is not None and _may_be_left_out(schema, name, inner):
                kept = None
            else:
                kept = tidy(inner if inner is not None else schema.get("additionalProperties") or {}, child)
        elif child is None:
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


def _may_be_left_out(schema: Mapping[str, Any], name: str, inner: Mapping[str, Any]) -> bool:
    """Whether an empty value says nothing: a list or a map, unlike a struct that is chosen by being there."""
    return (
        (inner.get("type") == "array" or "additionalProperties" in inner)
        and ALWAYS not in inner
        and name not in (schema.get("required") or ())
    )
