"""A prober as objects: a namespace of its own, an account that reads its peers and writes what it measured, one pod. Pure.

No Service: over a link, a pod is reached by its own address as the other cluster sees it, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from continuo.federation.addresses import remap
from continuo.orchestrator import naming
from continuo.orchestrator.measuring.names import probe_of, space_of
from continuo.probing.pods import RESTRICTED, only_the_agent, pod
from continuo.resources import kinds
from continuo.resources.meta import Key, Object
from continuo.resources.probing import MEASURED, PEERS, PORT, PROBER, PROBER_LABEL, Peer, peers_data

_POD = {"app.kubernetes.io/name": "continuo-prober", PROBER_LABEL: "links"}
_RULES: list[Object] = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [MEASURED], "verbs": ["patch"]},
]


def own_image() -> str:
    """The image of this version, as `continuo install` names it."""
    return f"continuo:{version('continuo')}"


def manifests(key: Key, cluster: str, image: str, peers: Iterable[Peer]) -> list[Object]:
    """What is applied on a cluster, in this order: the Deployment last, so that it stands for all of it."""
    space = space_of(key)
    labels = {**naming.owner_labels(*key), PROBER_LABEL: "links"}
    meta: Object = {"labels": labels}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": PROBER}
    subject = {"kind": "ServiceAccount", "name": PROBER, "namespace": space}
    quiet = [
        kinds.SERVICE_ACCOUNT.new(PROBER, space, metadata=meta),
        kinds.ROLE.new(PROBER, space, metadata=meta, rules=_RULES),
        kinds.ROLE_BINDING.new(PROBER, space, metadata=meta, roleRef=reference, subjects=[subject]),
        only_the_agent(PROBER, space, meta, asks=True),
    ]
    return [
        naming.sealed(kinds.NAMESPACE.new(space, metadata={"labels": {**labels, **RESTRICTED}})),
        *quiet,
        naming.sealed(kinds.CONFIG_MAP.new(MEASURED, space, metadata=meta)),
        naming.sealed(kinds.CONFIG_MAP.new(PEERS, space, metadata=meta, data=peers_data(peers))),
        naming.sealed(_deployment(key, cluster, image, labels, naming.digest(quiet, 16))),
    ]


def _deployment(key: Key, cluster: str, image: str, labels: dict[str, str], beside: str) -> Object:
    """`beside`: the hash of what nobody follows, so that another version of it is applied."""
    space = space_of(key)
    arguments = ["prober", f"--probe={probe_of(key, cluster)}", f"--namespace={space}", f"--port={PORT}"]
    address = {"name": "CONTINUO_PROBER_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    template = {"metadata": {"labels": _POD}, "spec": pod(PROBER, image, arguments, [address], account=PROBER)}
    spec = {
        "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": _POD}, "template": template,
    }  # fmt: skip
    metadata = {"labels": labels, "annotations": {"continuo.dev/beside": beside}}
    return kinds.DEPLOYMENT.new(PROBER, space, metadata=metadata, spec=spec)


def seen_through(ip: str, configuration: Object | None) -> str | None:
    """The address of a pod of the peer as it is reached from the cluster with that Configuration; None while unknown."""
    obj = configuration or {}
    for own, seen in zip(_pods(obj.get("spec")), _pods(obj.get("status")), strict=False):
        if remap(ip, own) == ip:
            return remap(ip, seen)
    return None


def _pods(part: Object | None) -> list[str]:
    found = (((part or {}).get("remote") or {}).get("cidr") or {}).get("pod") or []
    return [found] if isinstance(found, str) else list(found)
