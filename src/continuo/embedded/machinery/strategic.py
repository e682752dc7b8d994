"""Strategic merge: a merge patch that knows lists of named items.

The schema says per field how (`x-kubernetes-patch-strategy`: merge, replace, retainKeys; several joined by commas) and
by which key (`x-kubernetes-patch-merge-key`). The patch may carry directives: `$patch: replace|delete|merge`,
`$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.resources.errors import BadRequest

PATCH = "$patch"
RETAIN = "$retainKeys"
DELETE_FROM = "$deleteFromPrimitiveList/"
SET_ORDER = "$setElementOrder/"

Schema = Mapping[str, Any]
_NO_SCHEMA: Schema = {}


def strategic_merge(value: dict[str, Any], patch: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """The object with the patch laid over it; shares what stays."""
    how = patch.get(PATCH)
    if how == "replace":
        return {name: _cleaned(change) for name, change in patch.items() if name != PATCH}
    if how == "delete":
        return {}
    if how not in (None, "merge"):
        raise BadRequest(f"Unrecognized directive {PATCH}: {how!r}: use merge, replace or delete")
    out = _retained(value, patch)
    for name, change in patch.items():
        if name.startswith("$"):
            continue
        _merge_field(out, name, change, patch, _field(schema, name))
    _list_directives(out, patch, schema)
    return out


def _retained(value: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    keep = patch.get(RETAIN)
    if keep is None:
        return dict(value)
    if not isinstance(keep, list):
        raise BadRequest(f"{RETAIN} must be a list of field names")
    return {name: child for name, child in value.items() if name in keep}


def _field(schema: Schema, name: str) -> Schema:
    found = (schema.get("properties") or _NO_SCHEMA).get(name)
    if found is None:
        found = schema.get("additionalProperties")
    return found if isinstance(found, Mapping) else _NO_SCHEMA


def _strategies(schema: Schema) -> list[str]:
    return str(schema.get("x-kubernetes-patch-strategy", "")).split(",")


def _merge_field(out: dict[str, Any], name: str, change: Any, patch: dict[str, Any], schema: Schema) -> None:
    if change is None:
        out.pop(name, None)
        return
    before = out.get(name)
    strategies = _strategies(schema)
    if isinstance(change, dict):
        if isinstance(before, dict) and "replace" not in strategies:
            out[name] = strategic_merge(before, change, schema)
        elif change.get(PATCH) == "delete":
            out.pop(name, None)
        else:
            out[name] = _cleaned(change)
    elif isinstance(change, list) and "merge" in strategies:
        known = before if isinstance(before, list) else []
        wanted = patch.get(SET_ORDER + name)
        order = wanted if isinstance(wanted, list) else change
        out[name] = _ordered(_merge_list(known, change, schema), known, order, schema)
    else:
        out[name] = change


def _list_directives(out: dict[str, Any], patch: dict[str, Any], schema: Schema) -> None:
    """The directives that stand beside a list instead of in it."""
    for directive, items in patch.items():
        if directive.startswith(DELETE_FROM):
            name = directive.removeprefix(DELETE_FROM)
            if isinstance(out.get(name), list):
                out[name] = [item for item in out[name] if item not in items]
        elif directive.startswith(SET_ORDER):
            name = directive.removeprefix(SET_ORDER)
            if name not in patch and isinstance(out.get(name), list):
                out[name] = _ordered(out[name], out[name], items, _field(schema, name))


def _merge_list(before: list[Any], change: list[Any], schema: Schema) -> list[Any]:
    key = schema.get("x-kubernetes-patch-merge-key")
    items: Schema = schema.get("items") or _NO_SCHEMA
    if any(isinstance(item, dict) and item.get(PATCH) == "replace" for item in change):
        return [_cleaned(item) for item in change if not (isinstance(item, dict) and PATCH in item)]
    if not key or not all(isinstance(item, dict) for item in change):
        return before + [item for item in _unique(change) if item not in before]
    out = list(before)
    places = {item.get(key): place for place, item in enumerate(out)}
    gone: set[Any] = set()
    for item in change:
        name = item.get(key)
        if name is None:
            raise BadRequest(f"map: {item} does not contain declared merge key: {key}")
        place = places.get(name)
        if item.get(PATCH) == "delete":
            gone.add(name)
        elif place is not None:
            out[place] = strategic_merge(out[place], item, items)
        else:
            places[name] = len(out)
            out.append(_cleaned(item))
    return [item for item in out if item.get(key) not in gone]


def _unique(items: list[Any]) -> list[Any]:
    return [item for place, item in enumerate(items) if item not in items[:place]]


def _ordered(merged: list[Any], before: list[Any], order: list[Any], schema: Schema) -> list[Any]:
    """What the order names stands in that order; other items go before the first named one that they stood before."""
    key = schema.get("x-kubernetes-patch-merge-key")

    def name_of(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    rank = {name_of(item): place for place, item in enumerate(order)}
    place = {name_of(item): index for index, item in enumerate(before)}
    named = sorted((item for item in merged if name_of(item) in rank), key=lambda item: rank[name_of(item)])
    others = [item for item in merged if name_of(item) not in rank]
    out: list[Any] = []
    for item in named:
        at = place.get(name_of(item), -1)
        while others and place.get(name_of(others[0]), -1) < at:
            out.append(others.pop(0))
        out.append(item)
    return out + others


def _cleaned(change: Any) -> Any:
    """What a patch adds, without its directives and nulls."""
    if isinstance(change, dict):
        return {
            name: _cleaned(value) for name, value in change.items() if value is not None and not name.startswith("$")
        }
    if isinstance(change, list):
        return [_cleaned(item) for item in change if not (isinstance(item, dict) and item.get(PATCH) == "delete")]
    return change
