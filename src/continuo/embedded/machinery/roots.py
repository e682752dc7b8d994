"""Merge types of whole objects: whatever a schema says of `metadata`, it merges as Kubernetes' ObjectMeta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.builtin import object_meta
from continuo.embedded.machinery.memo import IdentityMemo
from continuo.embedded.machinery.typed import MergeType, merge_type

_TEXT = {"type": "string"}
_ANYTHING: Mapping[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _root(schema: Mapping[str, Any]) -> MergeType:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    metadata = properties.get("metadata") or {}
    if "managedFields" in (metadata.get("properties") or {}):
        return merge_type(schema)
    named = {"apiVersion": _TEXT, "kind": _TEXT, **properties, "metadata": object_meta()}
    return MergeType({**schema, "type": "object", "properties": named})


_ROOTS: IdentityMemo[MergeType] = IdentityMemo(_root)


def object_type(schema: Mapping[str, Any] | None) -> MergeType:
    """The merge type of a kind's objects (None: all but metadata is deduced from the values)."""
    return _ROOTS.of(_ANYTHING if schema is None else schema)
