"""Events have two faces, core/v1 and events.k8s.io/v1, over one store. They are kept as core/v1 events."""

from __future__ import annotations

from typing import Final

from continuo.resources.meta import Object

_TO_NEW: Final = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_TO_CORE: Final = {new: core for core, new in _TO_NEW.items()}


def from_core(event: Object) -> Object:
    """A core event as events.k8s.io/v1 shows it."""
    return _renamed(event, _TO_NEW, "events.k8s.io/v1")


def to_core(event: Object) -> Object:
    """An events.k8s.io/v1 event as it is kept."""
    return _renamed(event, _TO_CORE, "v1")


def _renamed(event: Object, names: dict[str, str], api_version: str) -> Object:
    renamed = {names.get(name, name): value for name, value in event.items()}
    renamed["apiVersion"] = api_version
    return renamed
