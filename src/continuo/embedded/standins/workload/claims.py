"""What a pod's persistent volume claims mean for where it may run. Pure, over a lookup."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from continuo.embedded.standins.objects import controller_of
from continuo.embedded.standins.workload.filters import term_matches
from continuo.resources.meta import Key, Object

Terms = list[Object]
"""The node selector terms of a volume: one of them has to match the node."""
SELECTED_NODE = "volume.kubernetes.io/selected-node"
NOT_THERE = "node(s) didn't match PersistentVolume's node affinity"


@dataclass(slots=True)
class Demands:
    """What the claims of one pod ask of the scheduler."""

    keys: list[Key] = field(default_factory=list)
    refusal: str = ""
    """Why the pod cannot be scheduled anywhere yet."""
    terms: list[Terms] = field(default_factory=list)
    """Where its volumes are."""
    unbound: list[Object] = field(default_factory=list)
    """Claims whose volume is made where the pod goes."""


def claims_of(pod: Object) -> Iterator[Key]:
    """The keys of the claims that the pod mounts."""
    for volume in pod["spec"].get("volumes") or ():
        source = volume.get("persistentVolumeClaim")
        if source:
            yield pod["metadata"]["namespace"], source["claimName"]


def offloaded(pod: Object) -> bool:
    """Whether the pod stands for one of another cluster, which keeps its claims."""
    owner = controller_of(pod)
    return owner is not None and owner["kind"] == "ShadowPod"


def demands(
    keys: list[Key],
    claim: Callable[[Key], Object | None],
    volume: Callable[[str], Object | None],
    waits_for_consumer: Callable[[Object], bool],
) -> Demands:
    """What the claims say, in the scheduler's words; the first refusal counts."""
    found = Demands(keys)
    for key in keys:
        entry = claim(key)
        if entry is None:
            found.refusal = f'persistentvolumeclaim "{key[1]}" not found'
        elif "deletionTimestamp" in entry["metadata"]:
            found.refusal = f'persistentvolumeclaim "{key[1]}" is being deleted'
        elif bound(entry):
            place = volume(entry["spec"]["volumeName"])
            if place is None:
                name = entry["spec"]["volumeName"]
                found.refusal = f'persistentvolumeclaim "{key[1]}" bound to non-existent persistentvolume "{name}"'
            elif affinity := (place["spec"].get("nodeAffinity") or {}).get("required"):
                found.terms.append(affinity.get("nodeSelectorTerms") or [])
        elif waits_for_consumer(entry):
            found.unbound.append(entry)
        else:
            found.refusal = "pod has unbound immediate PersistentVolumeClaims"
        if found.refusal:
            break
    return found


def bound(claim: Object) -> bool:
    """Whether the claim has its volume."""
    return (claim.get("status") or {}).get("phase") == "Bound" and bool(claim["spec"].get("volumeName"))


def reachable(terms: list[Terms], name: str, labels: dict[str, str]) -> bool:
    """Whether all volumes can be mounted on the node."""
    return all(any(term_matches(term, name, labels) for term in each) for each in terms)
