"""Refusing a configuration that does not fit its schema, before anything is merged.

Ownership is kept per declared field, so a field that nobody declared, or a list where a map belongs, has no place in it.
"""

from __future__ import annotations

from typing import Any

from continuo.embedded.machinery.fieldsets import spell
from continuo.embedded.machinery.typed import MergeType, item_key
from continuo.resources.errors import InternalError
from continuo.resources.meta import Object


def refuse_misfits(kind: MergeType, config: Any, applied: Object) -> None:
    """Raise InternalError, in the words and with the code of an API server, naming what does not fit."""
    found: list[str] = []
    _misfits(kind, config, "", found)
    if not found:
        return
    metadata = applied.get("metadata") or {}
    where = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    what = f"({where}; {applied.get('apiVersion')}, Kind={applied.get('kind')})"
    listed = found[0] if len(found) == 1 else "errors:\n" + "\n".join(f"  {error}" for error in found)
    raise InternalError(f"failed to create typed patch object {what}: {listed}")


def _misfits(kind: MergeType, value: Any, path: str, found: list[str]) -> None:
    if value is None or kind.shape == "deduced":
        return
    if kind.holds == "object":
        _map_misfits(kind, value, path, found)
    elif kind.holds == "array":
        _list_misfits(kind, value, path, found)
    elif (isinstance(value, dict | list) and kind.holds) or _scalar_misfit(kind.holds, value):
        found.append(f"{path}: expected {_WORDS.get(kind.holds, kind.holds)}, got {_given(value)}")


_WORDS = {"integer": "numeric (int or float)", "number": "numeric (int or float)"}


def _given(value: Any) -> str:
    names = {str: "string", bool: "boolean", int: "int", float: "float", list: "list", dict: "map"}
    return names.get(value.__class__, "null")


def _scalar_misfit(holds: str, value: Any) -> bool:
    if holds in ("integer", "number"):
        return isinstance(value, bool) or not isinstance(value, int | float)
    return (holds == "string" and not isinstance(value, str)) or (holds == "boolean" and not isinstance(value, bool))


def _map_misfits(kind: MergeType, value: Any, path: str, found: list[str]) -> None:
    if not isinstance(value, dict):
        found.append(f"{path}: expected map, got &{{{value}}}")
        return
    for name, child in value.items():
        inner = kind.declared(name)
        if inner is None and kind.closed:
            found.append(f"{path}.{name}: field not declared in schema")
        else:
            _misfits(inner or kind.element, child, f"{path}.{name}", found)


def _list_misfits(kind: MergeType, value: Any, path: str, found: list[str]) -> None:
    if not isinstance(value, list):
        found.append(f"{path}: expected list, got &{{{value}}}")
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        step = f"[{index}]"
        if kind.shape in ("list", "set"):
            key = item_key(kind, item)
            step = spell(key)
            if key in seen:
                found.append(f"{path}: duplicate entries for key {step}")
            seen.add(key)
        _misfits(kind.element, item, path + step, found)
