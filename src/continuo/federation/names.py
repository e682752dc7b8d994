"""The names, labels and taints of Liqo that a link is made of, spelled once."""

from __future__ import annotations

LIQO_NAMESPACE = "liqo"
CLUSTER_ID_CONFIG_MAP = "liqo-clusterid-configmap"
CLUSTER_ID_KEY = "CLUSTER_ID"
AUTH_KEYS = "authentication-keys"

REMOTE_CLUSTER_ID = "liqo.io/remote-cluster-id"
TENANT_NAMESPACE = "liqo.io/tenant-namespace"
TYPE = "liqo.io/type"
VIRTUAL_NODE_TYPE = "virtual-node"
TAINT = "virtual-node.liqo.io/not-allowed"
GATEWAY_RESOURCE = "networking.liqo.io/gateway-resource"
NETWORK_TYPE = "ipam.liqo.io/network-type"
IP_TYPE = "ipam.liqo.io/ip-type"
NONCE = "liqo.io/nonce"
SIGNED_NONCE = "liqo.io/signed-nonce"
REMOTE_ID = "liqo.io/remoteID"
REPLICATION = "liqo.io/replication"
BY_NAMESPACE_MAP = "liqo.io/managed-by-namespace-map"
"""Annotation of namespaces that Liqo made for a peer; their label REMOTE_CLUSTER_ID says for which."""
CREATE_VIRTUAL_NODE = "liqo.io/create-virtual-node"
UNREACHABLE = "liqo.io/foreign-cluster-permanently-unreachable"

NONCE_SECRET = "liqo-nonce"
SIGNED_NONCE_SECRET = "liqo-signed-nonce"
PROXY_PORT = 8118
POD_SECURITY = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "warn", "audit")}


def tenant_namespace(peer_id: str) -> str:
    """The default name of the namespace that holds everything about a peer."""
    return f"liqo-tenant-{peer_id}"


def identity(peer_id: str) -> str:
    """The name of the control-plane Identity towards a provider."""
    return f"controlplane-{peer_id}"


def public_key(peer_id: str) -> str:
    """The name of the PublicKey of a peer, and of the gateway's key Secret and Connection."""
    return f"gw-{peer_id}"


def resource_slice(provider_id: str) -> str:
    """The name of our ResourceSlice at a provider; its VirtualNode and Node get the same name.

    It carries the provider's whole identifier because slices must be unique in the consumer cluster.
    """
    return provider_id
