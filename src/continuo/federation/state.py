"""What is seen of one end of a link: a frozen picture, taken from the caches of that end's cluster.

Everything is found by name or within the tenant namespace, never by a scan over a cluster, so that a picture
costs the same for a cluster with one link and for one with fifty.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from continuo.federation import names
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, key_of, labels_of


class Cache(Protocol):
    """What an informer's store offers; one per cluster."""

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """The cached object, or None."""
        ...

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Object]:
        """The cached objects of a kind, of one namespace when given."""
        ...


class Objects:
    """A cache over objects at hand (for plans made from lists, and for tests)."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self._by_kind: dict[tuple[str, str], dict[tuple[str, str], Object]] = {}
        for obj in objects:
            group = obj["apiVersion"].rpartition("/")[0]
            self._by_kind.setdefault((group, obj["kind"]), {})[key_of(obj)] = obj

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """The object of that key, or None."""
        return self._by_kind.get((kind.group, kind.kind), {}).get((namespace, name))

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Object]:
        """All objects of the kind, of one namespace when given."""
        found = self._by_kind.get((kind.group, kind.kind), {})
        return [obj for key, obj in found.items() if not namespace or key[0] == namespace]


@dataclass(frozen=True, slots=True)
class EndState:
    """One end of a link. `None` means that the object is not there (yet, or any more)."""

    name: str
    cluster_id: str | None
    """The cluster's identifier in Liqo; None while Liqo is not installed."""
    peer_id: str | None
    """The identifier of the other end, as that end says or as it was installed with."""
    ready: bool = True
    """Whether the cluster is deployed and its control plane is ready."""
    reachable: bool = True
    components: tuple[Object, ...] = ()
    """The Deployments of Liqo's own namespace."""
    pod_cidrs: tuple[str, ...] = ()
    external_cidr: str | None = None
    proxy_ip: str | None = None
    keys: Object | None = None
    tenant_namespace: Object | None = None
    configuration: Object | None = None
    gateway_server: Object | None = None
    gateway_client: Object | None = None
    gateway_key: bytes | None = None
    public_keys: tuple[Object, ...] = ()
    connection: Object | None = None
    nonce: Object | None = None
    signed_nonce: Object | None = None
    tenant: Object | None = None
    identity: Object | None = None
    slices: tuple[Object, ...] = ()
    """The ResourceSlices that this end asked the peer for (not the copies of the peer's own)."""
    virtual_nodes: tuple[Object, ...] = ()
    foreign_cluster: Object | None = None
    node: Object | None = None
    """The virtual Node that stands for the peer."""
    capacity: Mapping[str, str] = field(default_factory=dict)
    """What the cluster can lend to the peer; empty when unknown."""

    @property
    def namespace(self) -> str:
        """The tenant namespace of the peer: the one that is there, else the one to be created."""
        if self.tenant_namespace is not None:
            return str(self.tenant_namespace["metadata"]["name"])
        return names.tenant_namespace(self.peer_id or "")

    @property
    def latency(self) -> str | None:
        """The tunnel's latency as Liqo measured it (`0.7ms`), while it is connected."""
        status = (self.connection or {}).get("status") or {}
        return (status.get("latency") or {}).get("value") if status.get("value") == "Connected" else None

    @property
    def latency_at(self) -> str | None:
        """When Liqo measured it, as Liqo says."""
        return (((self.connection or {}).get("status") or {}).get("latency") or {}).get("timestamp")


def cluster_id(cache: Cache) -> str | None:
    """The identifier that Liqo was installed with, or None."""
    found = cache.get(kinds.CONFIG_MAP, names.CLUSTER_ID_CONFIG_MAP, names.LIQO_NAMESPACE)
    return ((found or {}).get("data") or {}).get(names.CLUSTER_ID_KEY) or None


def end_state(
    name: str,
    cache: Cache,
    peer_id: str | None,
    *,
    ready: bool = True,
    reachable: bool = True,
    capacity: Mapping[str, str] | None = None,
) -> EndState:
    """The picture of the end `name` of the link to the cluster whose identifier is `peer_id`."""
    own = cluster_id(cache)
    pods, external, proxy = _addresses(cache)
    base = EndState(
        name=name, cluster_id=own, peer_id=peer_id, ready=ready, reachable=reachable,
        components=tuple(cache.list(kinds.DEPLOYMENT, names.LIQO_NAMESPACE)),
        pod_cidrs=pods, external_cidr=external, proxy_ip=proxy, capacity=capacity or {},
        keys=cache.get(kinds.SECRET, names.AUTH_KEYS, names.LIQO_NAMESPACE),
    )  # fmt: skip
    return base if peer_id is None else _with_peer(base, cache, peer_id)


def _with_peer(base: EndState, cache: Cache, peer: str) -> EndState:
    space = _tenant_namespace(cache, peer)
    ns = space["metadata"]["name"] if space else names.tenant_namespace(peer)
    slices = tuple(
        s for s in cache.list(kinds.RESOURCE_SLICE, ns) if (s.get("spec") or {}).get("providerClusterID") == peer
    )
    nodes = tuple(v for v in cache.list(kinds.VIRTUAL_NODE, ns) if (v.get("spec") or {}).get("clusterID") == peer)
    fields: dict[str, object] = {name: getattr(base, name) for name in EndState.__dataclass_fields__}
    fields.update(
        tenant_namespace=space,
        configuration=cache.get(kinds.CONFIGURATION, peer, ns),
        gateway_server=_first(cache, kinds.GATEWAY_SERVER, peer, ns),
        gateway_client=_first(cache, kinds.GATEWAY_CLIENT, peer, ns),
        gateway_key=_gateway_key(cache, peer, ns),
        public_keys=tuple(cache.list(kinds.PUBLIC_KEY, ns)),
        connection=_first(cache, kinds.CONNECTION, names.public_key(peer), ns),
        nonce=cache.get(kinds.SECRET, names.NONCE_SECRET, ns),
        signed_nonce=cache.get(kinds.SECRET, names.SIGNED_NONCE_SECRET, ns),
        tenant=_first(cache, kinds.TENANT, peer, ns),
        identity=cache.get(kinds.IDENTITY, names.identity(peer), ns),
        slices=slices,
        virtual_nodes=nodes,
        foreign_cluster=cache.get(kinds.FOREIGN_CLUSTER, peer),
        node=_virtual_node(cache, nodes, peer),
    )
    return EndState(**fields)  # type: ignore[arg-type]


def _first(cache: Cache, kind: Kind, name: str, namespace: str) -> Object | None:
    """The object of our name, else whichever another tool made there: a pair of clusters has only one."""
    found = cache.get(kind, name, namespace)
    return found if found is not None else next(iter(cache.list(kind, namespace)), None)


def _tenant_namespace(cache: Cache, peer: str) -> Object | None:
    """The namespace that carries Liqo's pair of labels for the peer, whatever it is called."""
    usual = cache.get(kinds.NAMESPACE, names.tenant_namespace(peer))
    if usual is not None:
        return usual
    for space in cache.list(kinds.NAMESPACE):
        labels = labels_of(space)
        if labels.get(names.TENANT_NAMESPACE) == "true" and labels.get(names.REMOTE_CLUSTER_ID) == peer:
            return space
    return None


def _addresses(cache: Cache) -> tuple[tuple[str, ...], str | None, str | None]:
    pods, external = [], None
    for network in sorted(cache.list(kinds.NETWORK, names.LIQO_NAMESPACE), key=key_of):
        cidr = (network.get("status") or {}).get("cidr")
        kind = labels_of(network).get(names.NETWORK_TYPE)
        if cidr and kind == "pod-cidr":
            pods.append(cidr)
        elif cidr and kind == "external-cidr":
            external = cidr
    proxy = None
    for address in cache.list(kinds.IP, names.LIQO_NAMESPACE):
        if labels_of(address).get(names.IP_TYPE) == "api-server-proxy":
            proxy = (address.get("status") or {}).get("ip") or proxy
    return tuple(pods), external, proxy


def _gateway_key(cache: Cache, peer: str, namespace: str) -> bytes | None:
    """The public half of this end's tunnel key: the Secret is named after the gateway."""
    secret = cache.get(kinds.SECRET, names.public_key(peer), namespace)
    if secret is None or labels_of(secret).get(names.GATEWAY_RESOURCE) != "true":
        candidates = cache.list(kinds.SECRET, namespace)
        secret = next((s for s in candidates if labels_of(s).get(names.GATEWAY_RESOURCE) == "true"), None)
    return secret_bytes(secret, "publicKey")


def _virtual_node(cache: Cache, virtual_nodes: tuple[Object, ...], peer: str) -> Object | None:
    for name in [v["metadata"]["name"] for v in virtual_nodes] or [names.resource_slice(peer)]:
        node = cache.get(kinds.NODE, name)
        if node is not None and labels_of(node).get(names.REMOTE_CLUSTER_ID) == peer:
            return node
    return None


def secret_bytes(secret: Object | None, key: str) -> bytes | None:
    """One decoded value of a Secret; None when it is absent, empty, or not base64."""
    value = ((secret or {}).get("data") or {}).get(key)
    if not value:
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
