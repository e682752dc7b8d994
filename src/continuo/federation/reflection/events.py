"""What a remote cluster says about a copy, as it is told about the pod at home. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime

from continuo.federation.reflection.twin import Twin
from continuo.resources import kinds
from continuo.resources.meta import Object

_PASSED = ("reason", "message", "type", "count", "firstTimestamp", "lastTimestamp", "eventTime", "action",
           "reportingComponent", "reportingInstance", "series")  # fmt: skip


def told(twin: Twin, event: Object, pod: Object | None, copy: Object | None) -> Object | None:
    """The event at home; None when it is not about our copy as it is now, or the pod is gone.

    The name follows from the event there, so that telling it twice is telling it once.
    """
    about = event.get("involvedObject") or {}
    if pod is None or copy is None or about.get("uid") != copy["metadata"]["uid"]:
        return None
    component = event.get("reportingComponent") or (event.get("source") or {}).get("component") or ""
    if twin.opaque and _names_places(component):
        return None
    metadata = pod["metadata"]
    name = f"{metadata['name'][:200]}.{hashlib.sha256(event['metadata']['uid'].encode()).hexdigest()[:16]}"
    subject = {
        "apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }  # fmt: skip
    if about.get("fieldPath"):
        subject["fieldPath"] = about["fieldPath"]
    said = {field: event[field] for field in _PASSED if event.get(field) is not None}
    if twin.opaque:
        said.pop("reportingInstance", None)
    source = {"component": (event.get("source") or {}).get("component") or "", "host": twin.node}
    return kinds.CORE_EVENT.new(name, metadata["namespace"], involvedObject=subject, source=source, **said)


def _names_places(component: str) -> bool:
    """Whether it is a scheduler that speaks: where a pod could go is not for those who are told nothing of it."""
    return "scheduler" in component or component.startswith("continuo-")


def repeated(event: Object) -> Object:
    """What changes in an event that was told before."""
    return {name: event[name] for name in ("count", "lastTimestamp", "series", "message") if name in event}


def moment(event: Object) -> float:
    """When it happened last, as seconds since the epoch; 0 when it does not say."""
    text = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0
