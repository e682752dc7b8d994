"""JSON patch operations as API servers run them, on documents that others share."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import jsonpatch
import jsonpointer


class _Replace(jsonpatch.ReplaceOperation):
    """Replacing a missing field of an object adds it."""

    def apply(self, obj: Any) -> Any:
        parent, name = self.pointer.to_last(obj)
        if isinstance(parent, dict) and name not in parent and "value" in self.operation:
            parent[name] = self.operation["value"]
            return obj
        return super().apply(obj)


class _Test(jsonpatch.TestOperation):
    """A missing field of an object equals null."""

    def apply(self, obj: Any) -> Any:
        parent, name = self.pointer.to_last(obj)
        if isinstance(parent, dict) and name not in parent and self.operation.get("value", 0) is None:
            return obj
        return super().apply(obj)


class Patch(jsonpatch.JsonPatch):
    """A JSON patch with the two leniencies of API servers."""

    operations: ClassVar[MappingProxyType[str, type[jsonpatch.PatchOperation]]] = MappingProxyType(
        {**jsonpatch.JsonPatch.operations, "replace": _Replace, "test": _Test}
    )


def unshared(document: Any, operations: Iterable[Mapping[str, Any]]) -> Any:
    """The document with everything copied that the operations may change in place."""
    steps = list(operations)
    if any(step.get("op") in ("move", "copy") for step in steps):
        return copy.deepcopy(document)
    out = dict(document)
    copied = {id(out)}
    for step in steps:
        path = step.get("path")
        if isinstance(path, str):
            _unshare(out, jsonpointer.JsonPointer(path).parts, copied)
    return out


def _unshare(node: dict[str, Any], parts: list[str], copied: set[int]) -> None:
    """Copy along one path; a list is copied whole, for operations before may have moved its items."""
    for part in parts:
        child = node.get(part)
        if id(child) not in copied:
            if isinstance(child, list):
                node[part] = copy.deepcopy(child)
                copied.add(id(node[part]))
            elif isinstance(child, dict):
                node[part] = dict(child)
                copied.add(id(node[part]))
        if not isinstance(node.get(part), dict):
            return
        node = node[part]
