"""Applications as they stand in LowLevelOrchestrations: found by owner and by handle, shown as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from continuo.resources.meta import Object, annotations_of
from continuo.resources.orchestration_apps import AppSpec

GOING = "going.amf.continuo.dev/"
"""Annotation `going.amf.continuo.dev/APP: HANDLE`: the application was deleted here, and is being cleaned up."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One application of one orchestration: declared, or deleted and still on its way out."""

    orchestration: Object
    name: str
    owner: str
    handle: str
    """What callers address it by: their own id, or the name where they gave none."""
    spec: Object | None
    status: Object

    @property
    def going(self) -> bool:
        """Whether it is no longer declared."""
        return self.spec is None


def entries(obj: Object) -> Iterator[Entry]:
    """All applications of an orchestration, declared ones first."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    seen = {app["name"]: app for app in status.get("apps") or ()}
    declared = spec.get("apps") or ()
    for app in declared:
        name = app["name"]
        yield Entry(obj, name, app["owner"], app.get("id") or name, app, seen.pop(name, {}))
    annotations = annotations_of(obj)
    for name, app in seen.items():
        yield Entry(obj, name, app.get("owner") or "", annotations.get(GOING + name) or name, None, app)


def owners(obj: Object) -> Iterable[str]:
    """Index: everyone who owns an application here."""
    return {entry.owner for entry in entries(obj)}


def handles(obj: Object) -> Iterable[str]:
    """Index: everything that an application here is addressed by."""
    return {word for entry in entries(obj) for word in (entry.handle, entry.name)}


def finished(obj: Object) -> list[str]:
    """Applications that were deleted here and are gone: what is left of them can be cleaned up."""
    marked = [key.removeprefix(GOING) for key in annotations_of(obj) if key.startswith(GOING)]
    if not marked:
        return []
    present = {entry.name for entry in entries(obj)}
    return [name for name in marked if name not in present]


def same(first: Object, second: Object) -> bool:
    """Whether two entries mean the same, defaults filled in."""
    try:
        return msgspec.convert(first, AppSpec) == msgspec.convert(second, AppSpec)
    except msgspec.ValidationError:
        return False


def referenced_secrets(app: Object) -> set[str]:
    """The Secrets that an application's entry refers to."""
    found = set()
    for component in app.get("components") or ():
        found.add((component.get("tls") or {}).get("name"))
        found.add((component.get("registry") or {}).get("secret"))
        for variable in (component.get("env") or {}).get("variables") or ():
            found.add((variable.get("secret") or {}).get("name"))
    return {name for name in found if name}


def summary(entry: Entry) -> Object:
    """One line of a listing."""
    return {
        "id": entry.handle,
        "name": entry.name,
        "owner": entry.owner,
        "orchestration": entry.orchestration["metadata"]["name"],
        **_state(entry.status, "Undeploying" if entry.going else "Pending"),
    }


def view(entry: Entry) -> Object:
    """Everything about one application: states with reasons, places, addresses."""
    told = {component["name"]: component for component in entry.status.get("components") or ()}
    declared = (entry.spec or {}).get("components") or ()
    components = [_component(component, told.pop(component["name"], {})) for component in declared]
    components += [_component({"name": name}, status) for name, status in told.items()]
    return {
        **summary(entry),
        "namespace": entry.status.get("namespace") or entry.name,
        "cluster": (entry.spec or entry.status).get("cluster"),
        "components": components,
        "placement": {c["name"]: c["cluster"] for c in components if c.get("cluster")},
        "urls": {f"{c['name']}/{url['name']}": url["url"] for c in components for url in c["urls"]},
    }


def _state(status: Object, default: str) -> Object:
    found: Object = {"state": status.get("phase") or default}
    if not status:
        found |= {"reason": "NotSeenYet", "message": "the orchestrator has not looked at it yet"}
    return found | {key: status[key] for key in ("reason", "message", "lastTransitionTime") if status.get(key)}


def _component(spec: Object, status: Object) -> Object:
    cluster = status.get("cluster") or spec.get("cluster-selector")
    shown: dict[str, Any] = {"name": spec["name"], **_state(status, "Pending")}
    if cluster:
        shown["cluster"] = cluster
    if spec.get("image"):
        shown["image"] = spec["image"]
    if status.get("ready"):
        shown["ready"] = status["ready"]
    return {**shown, "urls": status.get("urls") or []}
