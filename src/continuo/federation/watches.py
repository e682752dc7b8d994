"""Which objects of a workload cluster a link's decisions are made from, and nothing beyond them.

Selectors keep the noise out: no release Secrets of Helm, no ordinary namespaces, no gateway Deployments.
"""

from __future__ import annotations

from typing import NamedTuple

from continuo.federation.names import (
    AUTH_KEYS,
    IP_TYPE,
    LIQO_NAMESPACE,
    NETWORK_TYPE,
    REMOTE_CLUSTER_ID,
    TENANT_NAMESPACE,
    TYPE,
    VIRTUAL_NODE_TYPE,
)
from continuo.resources import kinds
from continuo.resources.meta import Kind


class Watch(NamedTuple):
    """One list-and-watch: a kind, perhaps one namespace, a label selector, a field selector."""

    kind: Kind
    namespace: str | None = None
    labels: str | None = None
    fields: str | None = None


WATCHES: tuple[Watch, ...] = (
    Watch(kinds.CONFIG_MAP, LIQO_NAMESPACE, "app.kubernetes.io/name=clusterid-configmap"),
    Watch(kinds.SECRET, LIQO_NAMESPACE, fields=f"metadata.name={AUTH_KEYS}"),
    Watch(kinds.SECRET, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.DEPLOYMENT, LIQO_NAMESPACE),
    Watch(kinds.NETWORK, LIQO_NAMESPACE, f"{NETWORK_TYPE} in (pod-cidr,external-cidr)"),
    Watch(kinds.IP, LIQO_NAMESPACE, f"{IP_TYPE}=api-server-proxy"),
    Watch(kinds.NAMESPACE, labels=f"{TENANT_NAMESPACE}=true"),
    Watch(kinds.CONFIGURATION, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.GATEWAY_SERVER, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.GATEWAY_CLIENT, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.PUBLIC_KEY, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.CONNECTION, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.TENANT, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.IDENTITY, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.RESOURCE_SLICE, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.VIRTUAL_NODE, labels=REMOTE_CLUSTER_ID),
    Watch(kinds.FOREIGN_CLUSTER),
    Watch(kinds.NODE, labels=f"{TYPE}={VIRTUAL_NODE_TYPE}"),
    Watch(kinds.NAMESPACE_OFFLOADING),
)
"""What to watch in every cluster that has Liqo. A kind's CRD may be missing until Liqo is installed."""
