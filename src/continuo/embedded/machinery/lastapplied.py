"""From `kubectl apply` to `kubectl apply --server-side`: what the annotation of the former lets the latter take over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.fieldsets import difference, paths
from continuo.embedded.machinery.roots import object_type
from continuo.embedded.machinery.typed import compare, field_set
from continuo.resources.errors import Conflict
from continuo.resources.meta import Object

_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
_MANAGER = "kubectl"


def may_upgrade(live: Object, manager: str, conflict: Conflict, schema: Mapping[str, Any] | None) -> bool:
    """Whether kubectl conflicts only with its own client-side past: fields that still are as it last applied them."""
    text = (live["metadata"].get("annotations") or {}).get(_ANNOTATION)
    if manager != _MANAGER or not text:
        return False
    try:
        last = json.loads(text)
    except ValueError:
        return False
    if not isinstance(last, dict):
        return False
    kind = object_type(schema)
    changed, _ = compare(kind, live, last)
    allowed = set(paths(difference(field_set(kind, last), changed)))
    return all(cause["field"] in allowed for cause in conflict.details["causes"])
