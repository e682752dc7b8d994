"""What Liqo calls things: labels, annotations, finalizers, names."""

from __future__ import annotations

NAMESPACE = "liqo"
MANAGER = "liqo"
KUBELET = "reflection.liqo.io"
CLUSTER_ID_CONFIG_MAP = "liqo-clusterid-configmap"
CLUSTER_ID_KEY = "CLUSTER_ID"
AUTH_KEYS = "authentication-keys"

REMOTE = "liqo.io/remote-cluster-id"
TENANT_NAMESPACE = "liqo.io/tenant-namespace"
NONCE = "liqo.io/nonce"
SIGNED_NONCE = "liqo.io/signed-nonce"
IDENTITY_TYPE = "liqo.io/identity-type"
REMOTE_TENANT_NAMESPACE = "liqo.io/remote-tenant-namespace"
REPLICATION = "liqo.io/replication"
REMOTE_ID = "liqo.io/remoteID"
ORIGIN_ID = "liqo.io/originID"
REPLICATED = "liqo.io/replicated"
CREATE_VIRTUAL_NODE = "liqo.io/create-virtual-node"
CORDON = "liqo.io/cordon"
CORDON_TENANT = "liqo.io/cordon-tenant"
UNREACHABLE = "liqo.io/foreign-cluster-permanently-unreachable"
GATEWAY_RESOURCE = "networking.liqo.io/gateway-resource"
GATEWAY_NAME = "networking.liqo.io/gateway-name"
NETWORK_TYPE = "ipam.liqo.io/network-type"
CIDR_TYPE = "configuration.liqo.io/cidr-type"
SHARED = "ipam.liqo.io/network-shared"
NOT_REMAPPED = "ipam.liqo.io/network-not-remapped"
TYPE = "liqo.io/type"
VIRTUAL_NODE = "virtual-node"
TAINT = "virtual-node.liqo.io/not-allowed"
SCHEDULING = "liqo.io/scheduling-enabled"
BY_NAMESPACE_MAP = "liqo.io/managed-by-namespace-map"
ORIGINAL_NAME = "liqo.io/original-name"
SHADOW_POD_LABEL = "liqo.io/shadowPod"
MANAGED_BY = "liqo.io/managed-by"
UNAVAILABLE = "liqo.io/remote-unavailable"
SKIP = "liqo.io/skip-reflection"
ORIGIN = "offloading.liqo.io/origin"
DESTINATION = "offloading.liqo.io/destination"
NODE_NAME = "offloading.liqo.io/nodename"
SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SLICE_REFLECTED = "endpointslice.reflection.liqo.io"
SERVICE_NAME = "kubernetes.io/service-name"

TENANT_FINALIZER = "tenant.liqo.io/finalizer"
VIRTUAL_NODE_FINALIZER = "virtualnode-controller.liqo.io/finalizer"
REPLICATOR_FINALIZER = "crdreplicator.liqo.io/resource"
OFFLOADING_FINALIZER = "namespaceoffloading-controller.liqo.io/finalizer"
MAP_FINALIZER = "namespacemap-controller.liqo.io/finalizer"

CLUSTER_ROLES = {
    "liqo-remote-controlplane": "remote-controlplane",
    "liqo-virtual-kubelet-remote": "virtual-kubelet-remote",
    "liqo-virtual-kubelet-remote-clusterwide": "virtual-kubelet-remote-clusterwide",
}


def pair(origin: str, destination: str) -> dict[str, str]:
    """The labels of everything reflected from one cluster to another."""
    return {ORIGIN: origin, DESTINATION: destination}
