"""How values merge: what a schema says about lists and maps, compiled to small nodes.

Server-side apply sees a value as a tree of granular maps, associative lists (items found by keys), sets, and leaves
(scalars and everything atomic). `merge_type(schema)` compiles a schema once, lazily along the paths that are used;
`field_set`, `compare` and `merge` walk values along it. Values without a schema are deduced: maps are granular, lists
atomic.
"""

from __future__ import annotations

from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any, Literal, TypeAlias

from continuo.embedded.machinery.fieldsets import (
    LEAF,
    SELF,
    FieldSet,
    element_key,
    element_value,
    field,
)
from continuo.embedded.machinery.memo import IdentityMemo

ALWAYS = "x-always-present"
"""Marks fields of built-in kinds that exist even when nothing was said about them (struct by value, required list)."""

Shape = Literal["leaf", "map", "list", "set", "deduced"]
Step: TypeAlias = "tuple[str, MergeType, bool]"
"""One level down: the path element, the type there, and whether it is always there."""


class MergeType:
    """How values at one place merge. Children are compiled when they are first asked for."""

    __slots__ = (
        "_element",
        "_element_schema",
        "_fields",
        "_properties",
        "_steps",
        "closed",
        "defaults",
        "holds",
        "keys",
        "shape",
    )

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.shape: Shape = _shape(schema)
        self.keys: tuple[str, ...] = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        self._properties: Mapping[str, Any] = schema.get("properties") or {}
        self._fields: dict[str, MergeType] = {}
        self._steps: dict[str, Step] = {}
        self.holds: str = "" if schema.get("x-kubernetes-int-or-string") else str(schema.get("type") or "")
        extra = schema.get("additionalProperties")
        self.closed = self.shape != "deduced" and not (schema.get("x-kubernetes-preserve-unknown-fields") or extra)
        element = schema.get("items") if self.holds == "array" else extra
        self._element_schema = element if isinstance(element, Mapping) else None
        self._element: MergeType | None = None
        self.defaults: dict[str, Any] = _key_defaults(self.keys, self._element_schema)

    @property
    def element(self) -> MergeType:
        """The type of list items and of the values of undeclared keys."""
        if self._element is None:
            self._element = DEDUCED if self._element_schema is None else merge_type(self._element_schema)
        return self._element

    def declared(self, name: str) -> MergeType | None:
        """The type of a declared field."""
        found = self._fields.get(name)
        if found is None and name in self._properties:
            found = self._fields[name] = merge_type(self._properties[name])
        return found

    def child(self, name: str) -> MergeType:
        """The type of a field or of a map's value."""
        return self.declared(name) or self.element

    def step(self, name: str) -> Step:
        """The way to a field or to a map's value.

        Always there is a struct by value: owning what is in it never means owning it.
        """
        found = self._steps.get(name)
        if found is None:
            schema = self._properties.get(name)
            found = field(name), self.child(name), schema is not None and ALWAYS in schema
            if schema is not None:  # keys of maps are anybody's words, and without end
                self._steps[name] = found
        return found


def _shape(schema: Mapping[str, Any]) -> Shape:
    kind = schema.get("type")
    if kind == "array":
        list_type = schema.get("x-kubernetes-list-type", "atomic")
        return "list" if list_type == "map" else "set" if list_type == "set" else "leaf"
    if kind == "object" or "properties" in schema or "additionalProperties" in schema:
        return "leaf" if schema.get("x-kubernetes-map-type") == "atomic" else "map"
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return "deduced"
    return "leaf"


def _key_defaults(keys: tuple[str, ...], element: Mapping[str, Any] | None) -> dict[str, Any]:
    properties = (element or {}).get("properties") or {}
    return {key: properties[key]["default"] for key in keys if "default" in properties.get(key, ())}


_TYPES: IdentityMemo[MergeType] = IdentityMemo(MergeType)
DEDUCED = MergeType({"x-kubernetes-preserve-unknown-fields": True})


def merge_type(schema: Mapping[str, Any] | None) -> MergeType:
    """The compiled type of a schema (None: deduced from the values)."""
    return DEDUCED if schema is None else _TYPES.of(schema)


def item_key(kind: MergeType, item: Any) -> str:
    """The path element of an item of an associative list or set."""
    if kind.shape == "set" or not isinstance(item, dict):
        return element_value(item)
    names = kind.keys
    if len(names) == 1 and isinstance(value := item.get(names[0]), str):
        return f'k:{{"{names[0]}":{encode_basestring(value)}}}'
    keys = {name: item.get(name, kind.defaults.get(name)) for name in names}
    return element_key({name: value for name, value in keys.items() if value is not None})


def is_map(kind: MergeType, value: Any) -> bool:
    """Whether the value is walked field by field."""
    return isinstance(value, dict) and kind.shape in ("map", "deduced")


def is_list(kind: MergeType, value: Any) -> bool:
    """Whether the value is walked item by item."""
    return isinstance(value, list) and kind.shape in ("list", "set")


def field_set(kind: MergeType, value: Any) -> FieldSet:
    """The paths that an applied value claims (a root or the children of a node)."""
    if is_map(kind, value):
        return _map_fields(kind, value)
    out: FieldSet = {}
    if is_list(kind, value):
        for item in value:
            below = field_set(kind.element, item)
            out[item_key(kind, item)] = {SELF: LEAF, **below} if below else LEAF
    return out


def _map_fields(kind: MergeType, value: dict[str, Any]) -> FieldSet:
    out: FieldSet = {}
    for name, child in value.items():
        declared = kind.declared(name)
        inner = declared or kind.element
        below = field_set(inner, child)
        if below:
            out[field(name)] = below if declared is not None else {SELF: LEAF, **below}
        elif declared is None or child == {} or not (is_map(inner, child) or is_list(inner, child)):
            out[field(name)] = LEAF
    return out


def compare(kind: MergeType, old: Any, new: Any) -> tuple[FieldSet, FieldSet]:
    """(set or changed, removed) as roots; subtrees that are the same object are skipped."""
    if old is new:
        return LEAF, LEAF
    changed: FieldSet = {}
    removed: FieldSet = {}
    if is_map(kind, old) and is_map(kind, new):
        _compare_maps(kind, old, new, changed, removed)
    elif is_list(kind, old) and is_list(kind, new):
        _compare_lists(kind, old, new, changed, removed)
    return changed, removed


def _compare_maps(
    kind: MergeType, old: dict[str, Any], new: dict[str, Any], changed: FieldSet, removed: FieldSet
) -> None:
    for name, value in new.items():
        before = old.get(name, _ABSENT)
        if before is value:
            continue
        element, inner, always = kind.step(name)
        if before is _ABSENT:
            changed[element] = _whole(inner, value, always)
        else:
            _compare_pair(element, inner, before, value, changed, removed)
    if len(old) > len(new) or any(name not in new for name in old):
        for name, before in old.items():
            if name not in new:
                removed[field(name)] = _whole(kind.child(name), before, False)


def _compare_lists(kind: MergeType, old: list[Any], new: list[Any], changed: FieldSet, removed: FieldSet) -> None:
    if len(old) == len(new):
        pairs = [(a, b) for a, b in zip(old, new, strict=True) if a is not b]
        keys = [item_key(kind, a) for a, _ in pairs]
        if keys == [item_key(kind, b) for _, b in pairs]:
            for key, (known, item) in zip(keys, pairs, strict=True):
                _compare_pair(key, kind.element, known, item, changed, removed)
            return
    before = {item_key(kind, item): item for item in old}
    after = {item_key(kind, item): item for item in new}
    for key, item in after.items():
        known = before.get(key, _ABSENT)
        if known is _ABSENT:
            changed[key] = _whole(kind.element, item, False)
        elif known is not item:
            _compare_pair(key, kind.element, known, item, changed, removed)
    for key, item in before.items():
        if key not in after:
            removed[key] = _whole(kind.element, item, False)


def _compare_pair(key: str, kind: MergeType, old: Any, new: Any, changed: FieldSet, removed: FieldSet) -> None:
    """What changed between two values of one place."""
    both_maps = is_map(kind, old) and is_map(kind, new)
    if (both_maps or (is_list(kind, old) and is_list(kind, new))) and (old or new):
        below, gone = compare(kind, old, new)
        if below:
            changed[key] = below
        if gone:
            removed[key] = gone
    elif not same(old, new):
        changed[key] = _whole(kind, new, False)
        gone = {name: node for name, node in _whole(kind, old, False).items() if name != SELF}
        if gone:
            removed[key] = gone


def _whole(kind: MergeType, value: Any, embedded: bool) -> FieldSet:
    """The node of a value that is new (or gone) with everything in it."""
    if kind.shape == "leaf":
        return LEAF
    out: FieldSet = {}
    if is_map(kind, value):
        step = kind.step
        for name, child in value.items():
            element, inner, always = step(name)
            out[element] = LEAF if inner.shape == "leaf" else _whole(inner, child, embedded and always)
    elif is_list(kind, value):
        inner = kind.element
        for item in value:
            out[item_key(kind, item)] = _whole(inner, item, False)
    if out and not embedded:
        out[SELF] = LEAF
    return out


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: unlike in Python, true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return len(a) == len(b) and all(name in b and same(value, b[name]) for name, value in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


class _Absent:
    """Stands for a field that is not there, where None is a value."""


_ABSENT = _Absent()
