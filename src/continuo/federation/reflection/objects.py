"""What pods need beside them: Services, the endpoints that are elsewhere, ConfigMaps and Secrets. Pure, like `pods`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from continuo.federation.reflection.places import Place
from continuo.federation.reflection.twin import ORIGIN, Twin
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, annotations_of, deleting, key_of, labels_of
from continuo.resources.reflected import ROOT_CA, body_of, is_token, merged, passed_annotations

KINDS: tuple[Kind, ...] = (kinds.SERVICE, kinds.ENDPOINT_SLICE, kinds.CONFIG_MAP, kinds.SECRET)
_SERVICE = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
OURS = "endpointslice.reflection.continuo.dev"
"""The remote cluster's own controller leaves slices alone that others manage."""
ROOTS = "continuo.dev/roots"
"""Annotation of a copied slice: for each of its addresses the cluster that has it, and the address there."""
Where: TypeAlias = Callable[[Object], Place | None]
"""Where the pod of an endpoint runs, if it is known not to be at home."""


def at_home(_: Object) -> Place | None:
    """Nothing is known of other clusters."""
    return None


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
    return f"{twin.selector},{MANAGED_BY}={OURS}" if kind is kinds.ENDPOINT_SLICE else twin.selector


Step: TypeAlias = Create | Replace | Remove


def decide(twin: Twin, kind: Kind, obj: Object | None, copy: Object | None, where: Where = at_home) -> Step | None:
    """The next step for an object at home and its copy."""
    wanted = None if obj is None or deleting(obj) else copy_of(twin, kind, obj, where)
    if wanted is None:
        return None if copy is None or deleting(copy) else Remove(copy)
    if copy is None:
        return Create(wanted)
    updated = merged(kind, copy, wanted)
    return None if updated == copy or deleting(copy) else Replace(updated)


def copy_of(twin: Twin, kind: Kind, obj: Object, where: Where = at_home) -> Object | None:
    """The object as it should be in the remote cluster; None when it should not be there."""
    metadata = obj["metadata"]
    if not twin.opens(metadata["namespace"]) or is_token(kind, obj):
        return None
    if kind is kinds.CONFIG_MAP and metadata["name"] == ROOT_CA:
        return None  # every cluster has its own, and pods there are given no token of this one
    if labels_of(obj).get(ORIGIN) == twin.remote:
        return None  # it came from there, by a reflection in the other direction
    if kind is kinds.SERVICE and metadata["name"] == "kubernetes" and metadata["namespace"] == "default":
        return None
    annotations = passed_annotations(obj)
    if kind is kinds.ENDPOINT_SLICE:
        body, roots = _slice(twin, obj, where)
        if body is None:
            return None
        annotations.pop(ROOTS, None)
        annotations |= {ROOTS: roots} if roots else {}
    else:
        body = body_of(kind, obj)
    labels = twin.labels(obj)
    if kind is kinds.ENDPOINT_SLICE:
        labels[MANAGED_BY] = OURS
    made: Object = {"labels": labels}
    if annotations := twin.named(metadata["namespace"], annotations):
        made["annotations"] = annotations
    namespace, name = twin.key_there(key_of(obj))
    return {**kind.new(name, namespace, metadata=made), **body}


def _slice(twin: Twin, obj: Object, where: Where) -> tuple[Object | None, str]:
    """The endpoints that the remote cluster cannot see by itself, those that do not run there; and where they are."""
    if _SERVICE not in labels_of(obj):
        return None, ""
    kind = obj.get("addressType", "IPv4")
    known = _roots(obj)
    endpoints, roots = [], []
    for entry in obj.get("endpoints") or ():
        root = next((known[ip] for ip in entry.get("addresses") or () if ip in known), None) or where(entry)
        if entry.get("nodeName") == twin.node or (root is not None and root.cluster == twin.remote_id):
            continue
        addresses, places = _addresses(twin, kind, entry, root)
        if addresses:
            shown = {name: entry[name] for name in ("conditions", "hostname") if name in entry}
            endpoints.append({**shown, "addresses": addresses})
            roots += places
    if not endpoints:
        return None, ""
    said = ",".join(f"{place.cluster}/{place.ip}" for place in roots) if twin.home_id and kind == "IPv4" else ""
    return {"addressType": kind, "ports": obj.get("ports") or [], "endpoints": endpoints}, said


def _addresses(twin: Twin, kind: str, entry: Object, root: Place | None) -> tuple[list[str], list[Place]]:
    """The endpoint's addresses as the remote cluster reaches them, and the places that they stand for."""
    found, places = [], []
    for ip in entry.get("addresses") or ():
        seen = twin.seen_from_there(root, ip) if kind == "IPv4" else ip
        if seen is not None:
            found.append(seen)
            places.append(root or Place(twin.home_id, ip))
    return found, places


def _roots(obj: Object) -> dict[str, Place]:
    """By address: what an earlier hop wrote on the slice."""
    said = annotations_of(obj).get(ROOTS)
    if not said:
        return {}
    shown = [ip for entry in obj.get("endpoints") or () for ip in entry.get("addresses") or ()]
    places = [Place(*text.split("/", 1)) for text in said.split(",") if "/" in text]
    return dict(zip(shown, places, strict=True)) if len(shown) == len(places) else {}
