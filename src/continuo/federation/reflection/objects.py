"""What pods need beside them: Services, the endpoints that are at home, ConfigMaps and Secrets. Pure, like `pods`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from continuo.federation.reflection.twin import ORIGIN, Twin
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, deleting, labels_of
from continuo.resources.reflected import ROOT_CA, body_of, is_token, merged, passed_annotations

KINDS: tuple[Kind, ...] = (kinds.SERVICE, kinds.ENDPOINT_SLICE, kinds.CONFIG_MAP, kinds.SECRET)
_SERVICE = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_OURS = "endpointslice.reflection.continuo.dev"
"""The remote cluster's own controller leaves slices alone that others manage."""


@dataclass(frozen=True, slots=True)
class Create:
    """Make the copy."""

    copy: Object


@dataclass(frozen=True, slots=True)
class Replace:
    """Bring the copy up to date; its resourceVersion is the one that was seen."""

    copy: Object


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the copy."""

    copy: Object


def selector(twin: Twin, kind: Kind) -> str:
    """The label selector of the copies of a kind.

    A cluster's own controller gives a Service's labels to the slices that it makes for it, ours among them.
    """
    return f"{twin.selector},{_MANAGED_BY}={_OURS}" if kind is kinds.ENDPOINT_SLICE else twin.selector


Step: TypeAlias = Create | Replace | Remove


def decide(twin: Twin, kind: Kind, obj: Object | None, copy: Object | None) -> Step | None:
    """The next step for an object at home and its copy."""
    wanted = None if obj is None or deleting(obj) else copy_of(twin, kind, obj)
    if wanted is None:
        return None if copy is None or deleting(copy) else Remove(copy)
    if copy is None:
        return Create(wanted)
    updated = merged(kind, copy, wanted)
    return None if updated == copy or deleting(copy) else Replace(updated)


def copy_of(twin: Twin, kind: Kind, obj: Object) -> Object | None:
    """The object as it should be in the remote cluster; None when it should not be there."""
    metadata = obj["metadata"]
    if metadata["namespace"] not in twin.namespaces or is_token(kind, obj):
        return None
    if kind is kinds.CONFIG_MAP and metadata["name"] == ROOT_CA:
        return None  # every cluster has its own, and pods there are given no token of this one
    if labels_of(obj).get(ORIGIN) == twin.remote:
        return None  # it came from there, by a reflection in the other direction
    if kind is kinds.SERVICE and metadata["name"] == "kubernetes" and metadata["namespace"] == "default":
        return None
    body = body_of(kind, obj) if kind is not kinds.ENDPOINT_SLICE else _slice(twin, obj)
    if body is None:
        return None
    labels = twin.labels(obj)
    if kind is kinds.ENDPOINT_SLICE:
        labels[_MANAGED_BY] = _OURS
    made: Object = {"labels": labels}
    if annotations := passed_annotations(obj):
        made["annotations"] = annotations
    return {**kind.new(metadata["name"], metadata["namespace"], metadata=made), **body}


def _slice(twin: Twin, obj: Object) -> Object | None:
    """The endpoints that the remote cluster cannot see by itself: those that do not run there."""
    if _SERVICE not in labels_of(obj):
        return None
    see = twin.seen_from_there if obj.get("addressType", "IPv4") == "IPv4" else None
    endpoints = []
    for entry in obj.get("endpoints") or ():
        if entry.get("nodeName") == twin.node:
            continue
        shown = {name: entry[name] for name in ("conditions", "hostname") if name in entry}
        addresses = [see(ip) if see else ip for ip in entry.get("addresses") or ()]
        endpoints.append({**shown, "addresses": addresses})
    if not endpoints:
        return None
    return {
        "addressType": obj.get("addressType", "IPv4"), "ports": obj.get("ports") or [], "endpoints": endpoints,
    }  # fmt: skip
