"""Who this FLUIDOS node is: what its ConfigMap says, in the two spellings in which nodes introduce themselves."""

from __future__ import annotations

from dataclasses import dataclass

from continuo.kube.port import Cluster
from continuo.resources.errors import Invalid
from continuo.resources.kinds import CONFIG_MAP
from continuo.resources.meta import Object

NAMESPACE = "fluidos"
"""Where a FLUIDOS node keeps its objects, unless it is told otherwise."""
IDENTITY = "fluidos-node-identity"
SIDE, SELLER, BUYER = "continuo.dev/side", "seller", "buyer"
"""Label of Contracts, Allocations and Transactions: both sides of a trade may live in one cluster."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """A node as others know it."""

    domain: str
    node_id: str
    address: str
    """`host:port` of its REAR gateway."""
    liqo_id: str = ""
    """What its cluster is called in Liqo; empty where there is no Liqo."""

    def to_object(self) -> Object:
        """As FLUIDOS' objects write it."""
        more = {"additionalInformation": {"liqoID": self.liqo_id}} if self.liqo_id else {}
        return {"domain": self.domain, "nodeID": self.node_id, "ip": self.address, **more}


def identity_of(config: Object, port: str | None = None) -> NodeIdentity:
    """The node that the ConfigMap describes; raises Invalid naming what is missing."""
    data = config.get("data") or {}
    missing = [key for key in ("domain", "nodeID", "ip") if not str(data.get(key) or "").strip()]
    if missing:
        raise Invalid(
            f"ConfigMap {IDENTITY} lacks {', '.join(missing)}: it must name domain, nodeID and ip of this node"
        )
    address, port = str(data["ip"]).strip(), port or str(data.get("port") or "").strip()
    if port and ":" not in address.rpartition("]")[2]:
        address = f"{address}:{port}"
    return NodeIdentity(
        str(data["domain"]).strip(), str(data["nodeID"]).strip(), address, str(data.get("liqoID") or "")
    )


async def own_identity(cluster: Cluster, namespace: str = NAMESPACE) -> NodeIdentity:
    """The identity that this cluster's node was installed with; raises NotFound or Invalid."""
    return identity_of(await cluster.get(CONFIG_MAP, IDENTITY, namespace))
