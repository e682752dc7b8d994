"""Taking fields away that a structural schema does not know, or that say nothing.

A schema is compiled to what these need to know of it, along the paths that values use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.fields import Place, path_of
from continuo.embedded.machinery.memo import IdentityMemo
from continuo.embedded.machinery.typed import ALWAYS

_EMBEDDED: Mapping[str, Any] = {
    "apiVersion": {},
    "kind": {},
    "metadata": {"x-kubernetes-preserve-unknown-fields": True},
}


class _Known:
    """The fields that one schema knows."""

    __slots__ = ("_extra", "_fields", "_items", "_properties", "_required", "_said", "names", "open")

    def __init__(self, schema: Mapping[str, Any], *, object_: bool = False) -> None:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        if object_ or schema.get("x-kubernetes-embedded-resource"):
            properties = {**properties, **_EMBEDDED}
        extra, items = schema.get("additionalProperties"), schema.get("items")
        self._properties, self._required = properties, frozenset(schema.get("required") or ())
        self._extra = extra if isinstance(extra, Mapping) else None
        self._items = items if isinstance(items, Mapping) else None
        self.names = frozenset(name for name, inner in properties.items() if isinstance(inner, Mapping))
        self.open = extra is True or self._extra is not None or bool(schema.get("x-kubernetes-preserve-unknown-fields"))
        """Whether it takes other names, too."""
        self._fields: dict[str, _Known] = {}
        self._said: dict[str, bool] = {}

    def below(self, name: str) -> _Known | None:
        """What is known of the value of a field or of a map; None: nothing, so that it is left as it is."""
        found = self._fields.get(name)
        if found is None and name in self.names:
            found = self._fields[name] = _KNOWN.of(self._properties[name])
        if found is None and self._extra is not None and name not in self._properties:
            return _KNOWN.of(self._extra)
        return found

    @property
    def items(self) -> _Known | None:
        """What is known of a list's items."""
        return None if self._items is None else _KNOWN.of(self._items)

    def may_be_empty(self, name: str) -> bool:
        """Whether an empty value says nothing: a list or a map, unlike a struct that is chosen by being there."""
        found = self._said.get(name)
        if found is None and name in self._properties:
            inner = self._properties[name]
            listed = inner.get("type") == "array" or "additionalProperties" in inner
            found = self._said[name] = listed and ALWAYS not in inner and name not in self._required
        return bool(found)


_KNOWN: IdentityMemo[_Known] = IdentityMemo(_Known)
_OBJECTS: IdentityMemo[_Known] = IdentityMemo(lambda schema: _Known(schema, object_=True))
_NOTHING = _Known({})
_NESTED = (dict, list)


def prune(schema: Mapping[str, Any], value: Any, path: str = "") -> tuple[Any, list[str]]:
    """The value without unknown fields, and their paths; the same object when there are none."""
    unknown: list[str] = []
    return _prune(_OBJECTS.of(schema), value, path, unknown), unknown


def _prune(known: _Known, value: Any, place: Place, unknown: list[str]) -> Any:
    if isinstance(value, dict):
        return _prune_map(known, value, place, unknown)
    items = known.items
    if not isinstance(value, list) or items is None:
        return value
    out = value
    for index, item in enumerate(value):
        pruned = _prune(items, item, (place, index), unknown)
        if pruned is not item:
            out = list(value) if out is value else out
            out[index] = pruned
    return out


def _prune_map(known: _Known, value: dict[str, Any], place: Place, unknown: list[str]) -> dict[str, Any]:
    names, takes_others = known.names, known.open
    out = value
    for name, child in value.items():
        if name not in names and not takes_others:
            unknown.append(path_of((place, name)))
            out = dict(value) if out is value else out
            del out[name]
        elif child.__class__ in _NESTED and (inner := known.below(name)) is not None:
            pruned = _prune(inner, child, (place, name), unknown)
            if pruned is not child:
                out = dict(value) if out is value else out
                out[name] = pruned
    return out


def tidy(schema: Mapping[str, Any], value: Any) -> Any:
    """The value as a built-in kind keeps it: no nulls, and no empty lists and maps where a field may be left out.

    Shared where there is nothing to leave out.
    """
    return _tidy(_KNOWN.of(schema), value)


def _tidy(known: _Known, value: Any) -> Any:
    if isinstance(value, dict):
        return _tidy_map(known, value)
    inner = known.items or _NOTHING
    out = value
    for index, item in enumerate(value):
        if item.__class__ in _NESTED and (kept := _tidy(inner, item)) is not item:
            out = value.copy() if out is value else out
            out[index] = kept
    return out


def _tidy_map(known: _Known, value: dict[str, Any]) -> dict[str, Any]:
    out = value
    for name, child in value.items():
        if child.__class__ in _NESTED and child:
            kept = _tidy(known.below(name) or _NOTHING, child)
        elif child is None or (child.__class__ in _NESTED and known.may_be_empty(name)):
            kept = None
        else:
            continue
        if kept is None:
            out = value.copy() if out is value else out
            del out[name]
        elif kept is not child:
            out = value.copy() if out is value else out
            out[name] = kept
    return out
