"""Pods on a virtual node: what is to be done about one of them. Pure: both ends as they are seen, in; one step, out.

A step changes what is seen, which brings the pod back for the next one; nothing is remembered in between, so the process
may end anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from continuo.federation.reflection.places import ROOT_CID, ROOT_IP, Place, root_marks, root_of
from continuo.federation.reflection.twin import TWIN_UID, VIRTUAL_NODE, Twin
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, deleting, key_of, labels_of
from continuo.resources.reflected import GONE_PHASES, local_status, not_offloaded, passed_annotations, remote_spec

_TOKEN_VOLUME = "kube-api-access-"
"""What the home API server gives every pod to talk to it; the names of these volumes start so."""
_NOT_TOLD = ("qosClass", "observedGeneration", "nominatedNodeName", "resize", "ephemeralContainerStatuses")
"""Parts of a status that are about the object in its own cluster."""


class Send(msgspec.Struct, frozen=True):
    """Create the copy."""

    copy: Object


@dataclass(frozen=True, slots=True)
class Recall:
    """Delete the copy, and let it have so many seconds for that."""

    copy: Object
    grace: int | None = None


@dataclass(frozen=True, slots=True)
class Relabel:
    """Give the copy the labels that the pod has by now; None removes one."""

    copy: Object
    labels: dict[str, str | None]


class Tell(msgspec.Struct, frozen=True):
    """Change these parts of the pod's status, None removes one; and say on it where it runs."""

    pod: Object
    status: Object
    annotations: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Finish:
    """Remove the pod, whose copy is gone."""

    pod: Object


Step: TypeAlias = Send | Recall | Relabel | Tell | Finish


def decide(twin: Twin, pod: Object | None, copy: Object | None) -> Step | None:
    """The next step for a pod of the virtual node and its copy in the remote cluster; None: all is well, or is to come."""
    if pod is None or deleting(pod):
        return _end(pod, copy)
    if pod["metadata"]["namespace"] not in twin.namespaces:
        return _recall(copy) or refused(
            pod, f"namespace {pod['metadata']['namespace']} is not reflected by {twin.node}"
        )
    if copy is None:
        return None if (pod.get("status") or {}).get("phase") in GONE_PHASES else Send(copy_of(twin, pod))
    if annotations_of(copy).get(TWIN_UID) != pod["metadata"]["uid"]:
        return _recall(copy)
    return _relabel(twin, pod, copy) or _tell(twin, pod, copy)


def copy_of(twin: Twin, pod: Object) -> Object:
    """The pod as it is created in the remote cluster."""
    metadata = pod["metadata"]
    said = passed_annotations(pod)
    for mark in (ROOT_CID, ROOT_IP):
        said.pop(mark, None)
    here, name = key_of(pod)
    spec = _without_token(remote_spec(pod["spec"], VIRTUAL_NODE))
    if twin.scheduler is not None:
        spec["schedulerName"] = twin.scheduler
    marks = {"labels": twin.labels(pod), "annotations": {**twin.named(here, said), TWIN_UID: metadata["uid"]}}
    return kinds.POD.new(name, twin.space_there(here), metadata=marks, spec=spec)


def refused(pod: Object, message: str, reason: str | None = None) -> Tell | None:
    """Say in the pod's status why it cannot run; the reason is one word, of which there is a usual one."""
    status = pod.get("status") or {}
    if status.get("phase") in GONE_PHASES:
        return None
    why = {"message": message, **({"reason": reason} if reason else {})}
    news = _difference(status, not_offloaded(status, **why))
    return Tell(pod, news) if news else None


def told(step: Tell) -> Object:
    """The pod as it is when a step has been carried out."""
    before = step.pod.get("status") or {}
    status = {name: value for name, value in {**before, **step.status}.items() if value is not None}
    metadata = step.pod["metadata"]
    annotations = {**annotations_of(step.pod), **step.annotations}
    return {**step.pod, "metadata": {**metadata, "annotations": annotations}, "status": status}


def _end(pod: Object | None, copy: Object | None) -> Step | None:
    """The copy ends first, then the pod."""
    if copy is None:
        return None if pod is None else Finish(pod)
    return _recall(copy, None if pod is None else pod["metadata"].get("deletionGracePeriodSeconds"))


def _recall(copy: Object | None, grace: int | None = None) -> Recall | None:
    return None if copy is None or deleting(copy) else Recall(copy, grace)


def _relabel(twin: Twin, pod: Object, copy: Object) -> Relabel | None:
    wanted, have = twin.labels(pod), labels_of(copy)
    if wanted == have:
        return None
    changed: dict[str, str | None] = {name: value for name, value in wanted.items() if have.get(name) != value}
    return Relabel(copy, {**changed, **{name: None for name in have if name not in wanted}})


def _tell(twin: Twin, pod: Object, copy: Object) -> Tell | None:
    told = copy.get("status") or {}
    if only_scheduled(told):
        return None  # nobody there has looked at it yet, and a write that says so would be one of three for each pod
    root = Place(twin.remote_id, told.get("podIP") or "") if twin.opaque else root_of(copy, twin.remote_id)
    if root is not None and not root.ip:
        root = None
    seen = twin.seen_from_home(root, told.get("podIP"))
    status = local_status({**told, "podIP": seen}, _as_it_is, None)
    for name in _NOT_TOLD:
        status.pop(name, None)
    before = pod.get("status") or {}
    if not any(entry["type"] == "PodScheduled" for entry in status.get("conditions") or ()):
        own = [entry for entry in before.get("conditions") or () if entry["type"] == "PodScheduled"]
        status["conditions"] = [*(status.get("conditions") or ()), *own]
    if twin.opaque:
        status["conditions"] = [_told_little(entry) for entry in status.get("conditions") or ()]
    news, said = _difference(before, status), annotations_of(pod)
    marks = {name: value for name, value in root_marks(root).items() if said.get(name) != value}
    return Tell(pod, news, marks) if news or marks else None


def _as_it_is(ip: str) -> str:
    return ip


def _told_little(entry: Object) -> Object:
    """Why a pod waits, without the names of those that it could have gone to."""
    if entry["type"] != "PodScheduled" or "message" not in entry:
        return entry
    return {**entry, "message": "the aggregator has no place for this pod now"}


def only_scheduled(status: Object) -> bool:
    """Whether a status says nothing but that the pod has a node."""
    if status.get("containerStatuses") or status.get("initContainerStatuses") or status.get("reason"):
        return False
    entries = status.get("conditions") or ()
    return all(entry["type"] == "PodScheduled" and entry["status"] == "True" for entry in entries)


def as_sent(sent: Object, created: Object) -> bool:
    """Whether a created copy has what it was sent with, and nobody there has looked at it yet."""
    return (
        labels_of(created) == labels_of(sent)
        and annotations_of(created).get(TWIN_UID) == annotations_of(sent).get(TWIN_UID)
        and only_scheduled(created.get("status") or {})
        and not deleting(created)
    )


def only_taken(old: Object | None, new: Object | None) -> bool:
    """Whether all that happened to a copy is that it was given a node there: nothing follows from that."""
    return old is not None and new is not None and only_scheduled(old.get("status") or {}) and as_sent(old, new)


def _difference(before: Object, wanted: Object) -> Object:
    """The merge patch from one status to the other."""
    changed: Object = {name: value for name, value in wanted.items() if before.get(name) != value}
    if "conditions" in changed and _same_conditions(before.get("conditions") or [], wanted["conditions"] or []):
        del changed["conditions"]
    return {**changed, **{name: None for name in before if name not in wanted and name not in _NOT_TOLD}}


def _same_conditions(some: list[Object], others: list[Object]) -> bool:
    """A time that is not known is null in one cluster and left out in another; a write would not make them equal."""
    return len(some) == len(others) and all(
        one == other or _without_nulls(one) == _without_nulls(other) for one, other in zip(some, others, strict=True)
    )


def _without_nulls(entry: Object) -> Object:
    return {name: value for name, value in entry.items() if value is not None}


def _without_token(spec: Object) -> Object:
    """The spec without the volume of the home cluster's API token, whose counterpart would be another cluster's."""
    tokens = {volume["name"] for volume in spec.get("volumes") or () if volume["name"].startswith(_TOKEN_VOLUME)}
    if not tokens:
        return spec
    kept = {**spec, "volumes": [volume for volume in spec["volumes"] if volume["name"] not in tokens]}
    for group in ("containers", "initContainers"):
        if group in kept:
            kept[group] = [_unmounted(container, tokens) for container in kept[group]]
    return kept


def _unmounted(container: Object, tokens: set[str]) -> Object:
    mounts = [mount for mount in container.get("volumeMounts") or () if mount["name"] not in tokens]
    return {**container, "volumeMounts": mounts}
