"""Filling in the defaults of a structural schema; a null where none is allowed counts as not given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.memo import IdentityMemo


class _Defaults:
    """The defaults below one schema, and where null means "not given"."""

    __slots__ = ("drops", "element", "fields", "items", "values")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        self.values = {
            name: (inner["default"], bool(inner.get("nullable")))
            for name, inner in properties.items()
            if isinstance(inner, Mapping) and "default" in inner
        }
        self.fields = {name: _Defaults(child) for name, child in properties.items() if isinstance(child, Mapping)}
        extra = schema.get("additionalProperties")
        self.element = _Defaults(extra) if isinstance(extra, Mapping) else None
        self.items = _Defaults(schema["items"]) if isinstance(schema.get("items"), Mapping) else None
        self.drops = not schema.get("nullable")

    def fill(self, value: Any, keep_nulls: bool = False) -> Any:
        if isinstance(value, dict):
            return self._fill_map(value, keep_nulls)
        if not isinstance(value, list) or self.items is None:
            return value
        filled = [self.items.fill(item, keep_nulls) for item in value]
        return value if all(a is b for a, b in zip(filled, value, strict=True)) else filled

    def _fill_map(self, value: dict[str, Any], keep_nulls: bool) -> dict[str, Any]:
        out = value
        for name, (default, nullable) in self.values.items():
            if name not in value or (value[name] is None and not nullable):
                out = dict(value) if out is value else out
                out[name] = default
        known, element = self.fields, self.element
        for name, child in list(out.items()):
            inner = known.get(name, element)
            if inner is None or (child is not None and child.__class__ not in _NESTED):
                continue
            filled = inner.fill(child, keep_nulls)
            dropped = child is None and inner.drops and not keep_nulls
            if dropped or filled is not child:
                out = dict(value) if out is value else out
                if dropped:
                    del out[name]
                else:
                    out[name] = filled
        return out


_NESTED = (dict, list)
_DEFAULTS: IdentityMemo[_Defaults] = IdentityMemo(_Defaults)


def apply_defaults(schema: Mapping[str, Any], value: Any, *, keep_nulls: bool = False) -> Any:
    """The value with defaults filled in and without stray nulls; the same object when nothing had to change.

    `keep_nulls`: a null without a default stays, for validation to find (as after server-side apply).
    """
    return _DEFAULTS.of(schema).fill(value, keep_nulls)
