"""Faults, injected by annotation or by a call; the stand-ins read them, tests and the command line set them.

`faults.continuo.dev/<fault>: "<argument>"` on an object of the management or a workload cluster:

| fault | on | what happens until the annotation goes |
|---|---|---|
| `api-outage` | Cluster (cluster.x-k8s.io) | its API server drops connections; an argument is answered as 503 instead |
| `never-up` | Machine, MachineDeployment, Cluster | new servers stay in BUILD; the argument may name one machine |
| `slow` | Machine, MachineDeployment, Cluster | provisioning takes that many times longer (`"10"`) |
| `link-down` | ForeignCluster (workload cluster) | the Liqo stand-in reports the tunnel as down |
| `link-latency` | ForeignCluster (workload cluster) | a round trip takes that many milliseconds (`"40"`) |
| `link-jitter` | ForeignCluster (workload cluster) | it is measured each second, and differs by so many (`"2"`) in the mean |
| `link-bandwidth` | ForeignCluster (workload cluster) | the link carries so many bits in a second at most (`"5M"`) |
| `image-pull` | Pod, Namespace (workload cluster) | images containing the argument (empty: all) cannot be pulled |
| `not-ready` | Node (workload cluster) | the kubelet stops posting: Ready is Unknown, pods are evicted later |

`Faults` is the same by calls. An annotation is state like any other: it survives a restart.
"""

from __future__ import annotations

from typing import Any

from continuo.embedded.port import Api, Engine, Write
from continuo.resources.errors import BadRequest
from continuo.resources.kinds import (
    CLUSTER,
    FOREIGN_CLUSTER,
    MACHINE,
    MACHINE_DEPLOYMENT,
    NAMESPACE,
    NODE,
    POD,
)
from continuo.resources.meta import Kind, Object, annotations_of

PREFIX = "faults.continuo.dev/"
API_OUTAGE = "api-outage"
NEVER_UP = "never-up"
SLOW = "slow"
LINK_DOWN = "link-down"
LINK_LATENCY = "link-latency"
LINK_JITTER = "link-jitter"
LINK_BANDWIDTH = "link-bandwidth"
IMAGE_PULL = "image-pull"
NOT_READY = "not-ready"

TARGETS: dict[str, tuple[Kind, ...]] = {
    API_OUTAGE: (CLUSTER,),
    NEVER_UP: (MACHINE, MACHINE_DEPLOYMENT, CLUSTER),
    SLOW: (MACHINE, MACHINE_DEPLOYMENT, CLUSTER),
    LINK_DOWN: (FOREIGN_CLUSTER,),
    LINK_LATENCY: (FOREIGN_CLUSTER,),
    LINK_JITTER: (FOREIGN_CLUSTER,),
    LINK_BANDWIDTH: (FOREIGN_CLUSTER,),
    IMAGE_PULL: (POD, NAMESPACE),
    NOT_READY: (NODE,),
}
"""Which objects each fault may be put on."""


def fault(obj: Object | None, name: str) -> str | None:
    """The fault's argument; None when the object does not have it."""
    if obj is None:
        return None
    annotations = obj["metadata"].get("annotations")
    return annotations.get(PREFIX + name) if annotations else None


def slowness(*objects: Object | None) -> float:
    """The product of all `slow` factors on these objects; what is not a number counts as 10."""
    factor = 1.0
    for obj in objects:
        argument = fault(obj, SLOW)
        if argument is not None:
            factor *= _number(argument)
    return factor


def _number(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 10.0


def set_outage(api: Api, how: str | None) -> None:
    """What the cluster's HTTP face does with requests: `drop` them, answer 503 with a text, or (None) serve them.

    In-process callers, that is the other stand-ins, are not affected.
    """
    target: Any = api
    if target.outage != how:
        target.outage = how


class Faults:
    """Injects and heals faults by name; what the command line and the tests call."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def inject(
        self,
        name: str,
        kind: Kind,
        object_name: str,
        namespace: str = "",
        *,
        cluster: str = "",
        argument: str = "",
    ) -> Object:
        """Put the fault on one object (in the management cluster unless a workload cluster is named)."""
        return self._annotate(name, kind, object_name, namespace, cluster, argument)

    def heal(self, name: str, kind: Kind, object_name: str, namespace: str = "", *, cluster: str = "") -> Object:
        """Take the fault off the object."""
        return self._annotate(name, kind, object_name, namespace, cluster, None)

    def list(self, api: Api) -> list[tuple[str, Kind, Object]]:
        """Every fault that is set in one cluster: (fault, kind, object)."""
        found = []
        served = {entry.kind.resource for entry in api.resources()}
        for name, kinds in TARGETS.items():
            for kind in kinds:
                if kind.resource in served:
                    found += [(name, kind, obj) for obj in api.list(kind) if PREFIX + name in annotations_of(obj)]
        return found

    def _annotate(
        self, name: str, kind: Kind, object_name: str, namespace: str, cluster: str, argument: str | None
    ) -> Object:
        if name not in TARGETS:
            raise BadRequest(f"There is no fault {name!r}; the faults are {', '.join(sorted(TARGETS))}.")
        if kind not in TARGETS[name]:
            allowed = " or ".join(entry.kind for entry in TARGETS[name])
            raise BadRequest(f"The fault {name!r} cannot be put on a {kind.kind}; put it on a {allowed}.")
        api = self._engine.cluster(cluster) if cluster else self._engine.management
        body = {"metadata": {"annotations": {PREFIX + name: argument}}}
        return api.patch(kind, object_name, namespace, "merge", body, Write(manager="continuo-faults"))
