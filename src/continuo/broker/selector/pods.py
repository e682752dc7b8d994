"""What the selector wants to know of a pod: pure readers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from continuo.broker.policies.facts import PodFacts
from continuo.broker.selector.names import REFLECTED_FROM
from continuo.federation.requests import requests_of
from continuo.resources.meta import Object, deleting, is_true, labels_of

_ENDED = ("Succeeded", "Failed")
_OWN_HASH = "pod-template-hash"
LARGE = 1 << 14
"""Bytes from which on what was read of a pod is not remembered."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, dict[str, str], Object]).decode


class Read(msgspec.Struct, frozen=True):
    """What there is to know of a pod before it is placed: the same one for all pods of a workload, as a rule."""

    facts: PodFacts
    asked: Mapping[str, int]
    """What it asks for, in thousandths."""


def read(pod: Object) -> Read:
    """What policies and rooms want to know of a pod."""
    words = _encode((pod["metadata"]["namespace"], labels_of(pod), pod["spec"]))
    return _read(words) if len(words) < LARGE else _read.__wrapped__(words)


@lru_cache(maxsize=256)
def _read(words: bytes) -> Read:
    namespace, labels, spec = _decode(words)
    asked = requests_of(spec)
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    requests = tuple(sorted((name, amount / 1000) for name, amount in asked.items()))
    images = tuple(container.get("image", "") for container in containers)
    return Read(PodFacts(namespace, tuple(sorted(labels.items())), requests, images), asked)


def ended(pod: Object) -> bool:
    """Whether it has run to its end and holds nothing any more."""
    return (pod.get("status") or {}).get("phase") in _ENDED


def has_run(pod: Object) -> bool:
    """Whether it runs, as far as is known here, or did."""
    return bool((pod.get("status") or {}).get("phase", "Pending") != "Pending")


def wants_a_place(pod: Object) -> bool:
    """Whether a scheduler has to look at it."""
    spec = pod["spec"]
    return not (spec.get("nodeName") or spec.get("schedulingGates") or deleting(pod) or ended(pod))


def is_ready(pod: Object) -> bool:
    """Whether it runs and says so."""
    return is_true(pod, "Ready")


def owner_of(pod: Object) -> Object | None:
    """The controller that made it."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def made_anew(pod: Object) -> bool:
    """Whether somebody makes it anew when it is evicted; a pod that nobody would make again is never evicted."""
    return owner_of(pod) is not None or REFLECTED_FROM in labels_of(pod)


def workload_of(pod: Object) -> str:
    """What a pod is a replica of: its controller, or, of a copy that has none, what its name and labels tell."""
    namespace, owner = pod["metadata"]["namespace"], owner_of(pod)
    if owner is not None and owner["kind"] != "ShadowPod":
        return f"{namespace}/{owner['kind']}/{owner['name']}"
    return f"{namespace}/{name_of_workload(pod)}"


def name_of_workload(pod: Object) -> str:
    """What people call the workload: the Deployment or StatefulSet that its owner or its name tells of."""
    name: str = pod["metadata"]["name"]
    owner = owner_of(pod)
    own_hash = labels_of(pod).get(_OWN_HASH)
    if owner is not None and owner["kind"] != "ShadowPod":
        called: str = owner["name"]
        return called.removesuffix(f"-{own_hash}") if own_hash and owner["kind"] == "ReplicaSet" else called
    stem, found, _ = name.rpartition(f"-{own_hash}-") if own_hash else ("", "", "")
    if found:
        return stem
    stem, _, last = name.rpartition("-")
    return stem if stem and last.isdecimal() else name
