"""Filling in the defaults of a structural schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.memo import IdentityMemo


class _Defaults:
    """The defaults below one schema; `idle` when there are none, so that whole subtrees are skipped."""

    __slots__ = ("element", "fields", "idle", "items", "values")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        self.values = {
            name: (inner["default"], bool(inner.get("nullable")))
            for name, inner in properties.items()
            if isinstance(inner, Mapping) and "default" in inner
        }
        inner = {name: _Defaults(child) for name, child in properties.items() if isinstance(child, Mapping)}
        self.fields = {name: child for name, child in inner.items() if not child.idle}
        self.element = _below(schema.get("additionalProperties"))
        self.items = _below(schema.get("items"))
        self.idle = not (self.values or self.fields or self.element or self.items)

    def fill(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._fill_map(value)
        if not isinstance(value, list) or self.items is None:
            return value
        filled = [self.items.fill(item) for item in value]
        return value if all(a is b for a, b in zip(filled, value, strict=True)) else filled

    def _fill_map(self, value: dict[str, Any]) -> dict[str, Any]:
        out = value
        for name, (default, nullable) in self.values.items():
            if name not in value or (value[name] is None and not nullable):
                out = dict(value) if out is value else out
                out[name] = default
        for name, child in list(out.items()):
            inner = self.fields.get(name)
            if inner is None and name not in self.values:
                inner = self.element
            filled = child if inner is None else inner.fill(child)
            if filled is not child:
                out = dict(value) if out is value else out
                out[name] = filled
        return out


def _below(schema: Any) -> _Defaults | None:
    if not isinstance(schema, Mapping):
        return None
    defaults = _Defaults(schema)
    return None if defaults.idle else defaults


_DEFAULTS: IdentityMemo[_Defaults] = IdentityMemo(_Defaults)


def apply_defaults(schema: Mapping[str, Any], value: Any) -> Any:
    """The value with defaults filled in; the same object when there was nothing to fill in."""
    return _DEFAULTS.of(schema).fill(value)
