"""What a cluster gets that sells or buys sensors: accounts with least privilege, `edge serve`, the relay. Pure.

Each role's rights are those that its side of the market was seen to use, by a test that lets it do nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from continuo.cli.manifest_parts import (
    FOLLOW,
    USER,
    binding,
    container,
    deployment,
    metadata,
    part_rule,
    port,
    probed,
    probes,
    rule,
    service,
)
from continuo.cli.slice_manifests import slice_objects
from continuo.edge.node import IDENTITY, NAMESPACE, NodeIdentity
from continuo.resources import kinds
from continuo.resources.meta import Object

EDGE, RELAY = "continuo-edge", "continuo-relay"
SELLER, BUYER = "continuo-edge-seller", "continuo-edge-buyer"
REAR_PORT = 3004
_READINGS, _CONTROL, _MONITOR = 8480, 8481, 8482
_NODE_LEASES = "kube-node-lease"
_SOCKETS = "/spiffe-workload-api"


@dataclass(frozen=True, slots=True)
class Edge:
    """What can be chosen of a site."""

    trust_domain: str
    """Of this cluster's own SPIFFE IDs."""
    namespace: str = NAMESPACE
    """Where the objects of the trade are."""
    node: NodeIdentity | None = None
    """Who the site is; None: its ConfigMap is made by somebody else."""
    sell: bool = True
    buy: bool = True
    options: tuple[str, ...] = ()
    """Of `edge serve`, besides those that follow from the rest."""
    relay_options: tuple[str, ...] = ()
    host_path: str = ""
    """The folder of machines with the Workload API's socket; empty: the CSI driver brings it."""
    socket: str = "spire-agent.sock"
    """What the socket is called in there."""
    storage: str = "1Gi"
    """What the relay asks for to keep its readings; empty: they go with its pod."""
    kubeedge: bool = False
    """KubeEdge's kinds too."""
    slices: bool = False
    """The rights that K8Slices need too."""


def edge_objects(image: str, namespace: str, edge: Edge) -> list[Object]:
    """The site and, where it sells, its relay."""
    found = [kinds.NAMESPACE.new(edge.namespace)] if edge.namespace != namespace else []
    found += [kinds.SERVICE_ACCOUNT.new(EDGE, namespace, metadata=metadata("edge"))]
    found += _identity(edge.namespace, edge.node) if edge.node is not None else []
    found += _seller(namespace, edge.namespace) if edge.sell else []
    found += _role(BUYER, namespace, edge.namespace, buyer_rules()) if edge.buy else []
    found += slice_objects(namespace, EDGE, sell=edge.sell, buy=edge.buy) if edge.slices else []
    found += [_site(image, namespace, edge)]
    return found + _relay(image, namespace, edge) if edge.sell else found


def _identity(namespace: str, node: NodeIdentity) -> list[Object]:
    host, _, number = node.address.rpartition(":")
    data = {"domain": node.domain, "nodeID": node.node_id, "ip": host, "port": number}
    return [kinds.CONFIG_MAP.new(IDENTITY, namespace, metadata=metadata("edge"), data=data)]


# --- rights -----------------------------------------------------------------------------------------------------------
def seller_cluster_rules() -> list[Object]:
    """What a seller may do everywhere: make Flavors of Devices, and tell these what is wrong with them."""
    return [
        rule([kinds.NODE], *FOLLOW),
        rule([kinds.DEVICE], *FOLLOW, "patch"),
        rule([kinds.DEVICE_STATUS], *FOLLOW),
        rule([kinds.FLAVOR], *FOLLOW, "create", "delete", "get", "patch", "update"),
        rule([kinds.EVENT], "create", "patch"),
    ]


def seller_rules() -> list[Object]:
    """What a seller may do in the namespace of the trade."""
    return [
        _own_config(*FOLLOW, "get"),
        rule([kinds.SECRET], *FOLLOW, "create", "delete", "get", "patch"),
        rule([kinds.ALLOCATION], *FOLLOW, "create", "delete", "get", "patch"),
        part_rule("status", [kinds.ALLOCATION], "patch"),
        rule([kinds.FLUIDOS_CONTRACT, kinds.TRANSACTION], *FOLLOW, "create", "delete", "get", "patch"),
        part_rule("status", [kinds.FLUIDOS_CONTRACT, kinds.TRANSACTION], "patch"),
        rule([kinds.KUBEEDGE_RULE, kinds.RULE_ENDPOINT], *FOLLOW, "create", "delete"),
    ]


def pulse_rules() -> list[Object]:
    """What a seller may do where nodes say that they live."""
    return [rule([kinds.LEASE], "get")]


def buyer_rules() -> list[Object]:
    """What a buyer may do in the namespace of the trade; nothing anywhere else."""
    return [
        _own_config("get"),
        rule([kinds.SECRET], "get"),
        rule([kinds.FLAVOR], "list"),
        rule([kinds.SOLVER], *FOLLOW, "patch"),
        rule([kinds.ALLOCATION], *FOLLOW, "create", "get"),
        part_rule("status", [kinds.ALLOCATION, kinds.SOLVER], "patch"),
        rule([kinds.DISCOVERY, kinds.PEERING_CANDIDATE], *FOLLOW, "create", "get", "patch"),
        part_rule("status", [kinds.DISCOVERY], "patch"),
        rule([kinds.KNOWN_CLUSTER], *FOLLOW),
        rule([kinds.RESERVATION], *FOLLOW, "create", "delete", "get", "patch"),
        rule([kinds.FLUIDOS_CONTRACT], *FOLLOW, "create", "get", "patch"),
        rule([kinds.TRANSACTION], "create", "get", "patch"),
        part_rule("status", [kinds.FLUIDOS_CONTRACT, kinds.RESERVATION], "patch"),
    ]


def _own_config(*verbs: str) -> Object:
    return {**rule([kinds.CONFIG_MAP], *verbs), "resourceNames": [IDENTITY]}


def _role(name: str, namespace: str, where: str, rules: list[Object]) -> list[Object]:
    return [
        kinds.ROLE.new(name, where, metadata=metadata("edge"), rules=rules),
        binding(kinds.ROLE_BINDING, name, namespace, where, "edge", EDGE),
    ]


def _seller(namespace: str, trade: str) -> list[Object]:
    return [
        kinds.CLUSTER_ROLE.new(SELLER, metadata=metadata("edge"), rules=seller_cluster_rules()),
        binding(kinds.CLUSTER_ROLE_BINDING, SELLER, namespace, None, "edge", EDGE),
        *_role(SELLER, namespace, trade, seller_rules()),
        *_role(SELLER, namespace, _NODE_LEASES, pulse_rules()),
        service(EDGE, namespace, "edge", {"rear": REAR_PORT}),
    ]


# --- processes --------------------------------------------------------------------------------------------------------
def _spiffe_id(edge: Edge, namespace: str, account: str) -> str:
    return f"spiffe://{edge.trust_domain}/ns/{namespace}/sa/{account}"


def _sockets(edge: Edge) -> Object:
    """The volume with the Workload API's socket."""
    if edge.host_path:
        return {"name": "spiffe", "hostPath": {"path": edge.host_path, "type": "Directory"}}
    return {"name": "spiffe", "csi": {"driver": "csi.spiffe.io", "readOnly": True}}


def _identified(edge: Edge, of: Object) -> Object:
    """The container, with a way to its identity."""
    mount = {"name": "spiffe", "mountPath": _SOCKETS, "readOnly": True}
    return {
        **of,
        "env": [{"name": "SPIFFE_ENDPOINT_SOCKET", "value": f"unix://{_SOCKETS}/{edge.socket}"}],
        "volumeMounts": [mount, *of.get("volumeMounts", ())],
    }


def _site(image: str, namespace: str, edge: Edge) -> Object:
    arguments = ["edge", "serve", f"--namespace={edge.namespace}", "--health-port=8081"]
    if edge.sell:
        arguments += [
            f"--listen=0.0.0.0:{REAR_PORT}",
            f"--relay=https://{RELAY}.{namespace}.svc:{_CONTROL}",
            f"--relay-id={_spiffe_id(edge, namespace, RELAY)}",
        ]
    else:
        arguments += ["--no-sell", "--no-find"]
    arguments += [] if edge.buy else ["--no-buy"]
    made = probed("edge", image, [*arguments, *edge.options])
    if edge.sell:
        made["ports"].append(port("rear", REAR_PORT))
    return deployment(EDGE, namespace, 1, _identified(edge, made), [_sockets(edge)], alone=True)


def _relay(image: str, namespace: str, edge: Edge) -> list[Object]:
    told = metadata("relay")
    found = [kinds.SERVICE_ACCOUNT.new(RELAY, namespace, metadata=told, automountServiceAccountToken=False)]
    if edge.storage:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": edge.storage}}}
        found.append(kinds.PERSISTENT_VOLUME_CLAIM.new(RELAY, namespace, metadata=told, spec=spec))
    kept: Object = {"persistentVolumeClaim": {"claimName": RELAY}} if edge.storage else {"emptyDir": {}}
    made = deployment(
        RELAY, namespace, 1, _relay_container(image, namespace, edge), [_sockets(edge), {"name": "data", **kept}],
        alone=True,
    )  # fmt: skip
    made["spec"]["template"]["spec"]["securityContext"]["fsGroup"] = USER
    ports = {"readings": _READINGS, "control": _CONTROL, "monitor": _MONITOR}
    return [*found, made, service(RELAY, namespace, "relay", ports)]


def _relay_container(image: str, namespace: str, edge: Edge) -> Object:
    arguments = [
        "relay", "--data=/data", f"--ingest=0.0.0.0:{_READINGS}",
        f"--ingest-url=http://{RELAY}.{namespace}.svc:{_READINGS}", f"--control=0.0.0.0:{_CONTROL}",
        f"--monitor=0.0.0.0:{_MONITOR}", f"--allow={_spiffe_id(edge, namespace, EDGE)}",
    ]  # fmt: skip
    made = container("relay", image, [*arguments, *edge.relay_options])
    ports = [port("readings", _READINGS), port("control", _CONTROL), port("monitor", _MONITOR)]
    data = {"name": "data", "mountPath": "/data"}
    return _identified(edge, {**made, "ports": ports, **probes("monitor"), "volumeMounts": [data]})
