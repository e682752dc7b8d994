"""The probe at a provider: a namespace of its own with one Deployment, one Service, and a policy that lets nothing out.

It may do nothing: no service account token, no capability, no writable file, no way out into the network. Everything is
made by server-side apply, so placing again repairs it; removing deletes the namespace, and only one that is ours.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from continuo.kube.port import Cluster
from continuo.probing.agent import PORT
from continuo.probing.pods import RESTRICTED, only_the_agent, pod
from continuo.resources import kinds
from continuo.resources.errors import Conflict, NotFound
from continuo.resources.meta import Object, is_true, labels_of

MANAGER: Final = "continuo-probe"
OWNER: Final = "continuo.dev/probe-of"
NAME: Final = "probe"
KEY_VARIABLE: Final = "CONTINUO_PROBE_KEY"
_LABELS = {"app.kubernetes.io/name": "continuo-probe"}


@dataclass(frozen=True, slots=True)
class Placement:
    """How probes are placed."""

    broker: str
    image: str
    service: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "LoadBalancer"
    """How the broker reaches them: `ClusterIP` where the clusters' networks are linked."""

    @property
    def owner(self) -> str:
        """The broker's name as a label and in a namespace's name."""
        if re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", self.broker):
            return self.broker
        return hashlib.sha256(self.broker.encode()).hexdigest()[:12]

    @property
    def namespace(self) -> str:
        """Each broker has its own, so that several measure the same provider."""
        return f"continuo-probe-{self.owner}"


def manifests(placement: Placement, provider: str, public: bytes) -> list[Object]:
    """What is applied at a provider, in this order."""
    space, labels = placement.namespace, {**_LABELS, OWNER: placement.owner}
    port = {"name": "probe", "port": PORT, "targetPort": "probe", "protocol": "TCP"}
    template = {"metadata": {"labels": _LABELS}, "spec": _pod(placement, provider, public)}
    deployment = {"replicas": 1, "selector": {"matchLabels": _LABELS}, "template": template}
    return [
        kinds.NAMESPACE.new(space, metadata={"labels": {**labels, **RESTRICTED}}),
        only_the_agent(NAME, space, {"labels": labels}, asks=False),
        kinds.DEPLOYMENT.new(NAME, space, metadata={"labels": labels}, spec=deployment),
        kinds.SERVICE.new(
            NAME, space, metadata={"labels": labels},
            spec={"type": placement.service, "selector": _LABELS, "ports": [port]},
        ),
    ]  # fmt: skip


def _pod(placement: Placement, provider: str, public: bytes) -> Object:
    arguments = ["broker", "probe", "serve", "--host=0.0.0.0", f"--port={PORT}", f"--provider={provider}"]
    return pod(NAME, placement.image, arguments, [{"name": KEY_VARIABLE, "value": base64.b64encode(public).decode()}])


async def place(cluster: Cluster, placement: Placement, provider: str, public: bytes) -> None:
    """Make the probe, or repair it; raises Conflict where its namespace is somebody else's."""
    await _ours(cluster, placement)
    for obj in manifests(placement, provider, public):
        await cluster.apply(obj, manager=MANAGER)


async def remove(cluster: Cluster, placement: Placement) -> bool:
    """Take it away with all that belongs to it; whether there was anything."""
    found = await _ours(cluster, placement)
    if found is None:
        return False
    try:
        await cluster.delete(kinds.NAMESPACE, placement.namespace, uid=found["metadata"]["uid"])
    except NotFound:
        return False
    return True


async def _ours(cluster: Cluster, placement: Placement) -> Object | None:
    try:
        found = await cluster.get(kinds.NAMESPACE, placement.namespace)
    except NotFound:
        return None
    if labels_of(found).get(OWNER) != placement.owner:
        raise Conflict(
            f"the namespace {placement.namespace} on {cluster.name} was not made for probes of {placement.broker}: "
            f"delete it, or name the broker otherwise"
        )
    return found


async def is_running(cluster: Cluster, placement: Placement) -> bool:
    """Whether the probe is there and ready."""
    deployment = await cluster.get(kinds.DEPLOYMENT, NAME, placement.namespace)
    return bool((deployment.get("status") or {}).get("availableReplicas"))


async def find_endpoint(cluster: Cluster, placement: Placement) -> str | None:
    """Where the placed probe can be reached; None as long as it cannot."""
    service = await cluster.get(kinds.SERVICE, NAME, placement.namespace)
    nodes = (await cluster.list(kinds.NODE)).items if placement.service == "NodePort" else ()
    return address_of(service, nodes)


def address_of(service: Object, nodes: Iterable[Object] = ()) -> str | None:
    """`http://HOST:PORT` of a Service, as somebody outside its cluster reaches it."""
    spec, type_ = service["spec"], service["spec"].get("type", "ClusterIP")
    port = spec["ports"][0]
    if type_ == "LoadBalancer":
        for entry in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if host := entry.get("ip") or entry.get("hostname"):
                return _url(host, port["port"])
        return None
    if type_ == "NodePort":
        host = _node_address(nodes)
        return _url(host, port["nodePort"]) if host and port.get("nodePort") else None
    host = spec.get("clusterIP")
    return _url(host, port["port"]) if host and host != "None" else None


def _node_address(nodes: Iterable[Object]) -> str | None:
    """Of the nodes that are ready, in the order of names: an outside address before an inside one."""
    ready = sorted((node for node in nodes if is_true(node, "Ready")), key=lambda node: str(node["metadata"]["name"]))
    for wanted in ("ExternalIP", "InternalIP"):
        for node in ready:
            for entry in (node.get("status") or {}).get("addresses") or ():
                if entry.get("type") == wanted:
                    return str(entry["address"])
    return None


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
