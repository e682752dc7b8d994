"""What follows from a contract for a K8Slice: names, amounts, and what its buyer may do at the seller's. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from continuo.edge.rear import slices
from continuo.edge.rear.names import K8SLICE, digest
from continuo.federation import plans
from continuo.federation.plans import short
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, labels_of

MANAGER = "continuo-slices"
SLICE = "continuo.dev/slice"
"""Label of everything that is there because of a contract for a K8Slice: that contract."""
CONTRACT_UID = "continuo.dev/contract-uid"
"""Annotation of a lent namespace: the UID of the Contract, since names may come again."""
SPACE = "rear.continuo.dev/namespace"
"""Annotation of a Solver, and of the buyer's Contract: the namespace whose pods may go to the slice."""
BUYER = "continuo-buyer"
"""The account in a lent namespace, its role, and its binding."""
RIGHTS = "a site that trades slices needs the rights that `continuo install --edge --slices` brings"
SELLER_LABEL = "fluidos.eu/seller"
FLAVOR_LABEL = "fluidos.eu/flavor"
_EVERYTHING = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_LOOK = ["get", "list", "watch"]
_NO_PORTS = {"services.loadbalancers": "0", "services.nodeports": "0"}
"""Ports of the seller's machines and addresses of its cloud are nothing that was bought."""


def is_slice(contract: Object) -> bool:
    """Whether it is about a K8Slice."""
    return bool(contract["spec"]["flavor"]["spec"]["flavorType"]["typeIdentifier"] == K8SLICE)


def amounts(contract: Object) -> dict[str, str]:
    """What was bought, by resource: what was agreed on, else all that the flavor has."""
    configuration = contract["spec"].get("configuration") or {}
    data = configuration.get("data") or {}
    agreed = {name: str(data[name]) for name in slices.DIVISIBLE if data.get(name) not in (None, "")}
    return agreed or slices.amounts_of(contract["spec"]["flavor"])


def plainly(bought: dict[str, str]) -> str:
    """The amounts in a sentence."""
    return ", ".join(f"{amount} {name}" for name, amount in bought.items())


def mark(contract: Object) -> str:
    """The value of the label `SLICE`."""
    return short(contract["metadata"]["name"])


def is_of(obj: Object, contract: Object) -> bool:
    """Whether an object is there because of this contract."""
    return labels_of(obj).get(SLICE) == mark(contract)


# --- at the seller's --------------------------------------------------------------------------------------------------
def space_there(contract: Object) -> str:
    """The namespace that is lent."""
    return short(f"slice-{contract['metadata']['name'].removeprefix('contract-')}".replace(".", "-"))


def is_lent(space: Object, contract: Object) -> bool:
    """Whether a namespace was made for exactly this contract."""
    return is_of(space, contract) and annotations_of(space).get(CONTRACT_UID) == contract["metadata"]["uid"]


def lent(contract: Object, there: Iterable[str] = ()) -> list[Object]:
    """The namespace and what is in it, in the order of their writing; the account that may enter comes last.

    `there`: resources that the seller's nodes have; of those that were not bought none may be used.
    """
    name, bought = space_there(contract), amounts(contract)
    labels = {SLICE: mark(contract), "app.kubernetes.io/managed-by": "continuo"}
    meta = {"metadata": {"labels": labels}}
    about = {
        "labels": {**labels, "pod-security.kubernetes.io/enforce": "baseline"},
        "annotations": {CONTRACT_UID: contract["metadata"]["uid"]},
    }
    found = [
        kinds.NAMESPACE.new(name, metadata=about),
        kinds.RESOURCE_QUOTA.new("slice", name, **meta, spec={"hard": {**plans.quota(bought, there), **_NO_PORTS}}),
    ]
    if bounds := plans.limits(bought):
        found.append(kinds.LIMIT_RANGE.new("slice", name, **meta, spec={"limits": bounds}))
    subject = {"kind": "ServiceAccount", "name": BUYER, "namespace": name}
    role = {"apiGroup": kinds.ROLE.group, "kind": "Role", "name": BUYER}
    return [
        *found,
        kinds.ROLE.new(BUYER, name, **meta, rules=rules()),
        kinds.ROLE_BINDING.new(BUYER, name, **meta, roleRef=role, subjects=[subject]),
        kinds.SERVICE_ACCOUNT.new(BUYER, name, **meta, automountServiceAccountToken=False),
    ]


def rules() -> list[Object]:
    """What a virtual node needs, in that namespace alone; and that its owner may look at what runs."""
    return [
        _rule("", ("configmaps", "pods", "secrets", "services"), _EVERYTHING),
        _rule("", ("pods/eviction",), ["create"]),
        _rule("", ("events", "limitranges", "pods/log", "resourcequotas"), _LOOK),
        _rule("", ("namespaces",), ["get"]),
        _rule("discovery.k8s.io", ("endpointslices",), _EVERYTHING),
    ]


def _rule(group: str, resources: Iterable[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


# --- at the buyer's ---------------------------------------------------------------------------------------------------
def node_of(contract: Object) -> str:
    """The virtual node."""
    name: str = contract["metadata"]["name"]
    return short(name.removeprefix("contract-").replace(".", "-"))


def node_labels(contract: Object) -> dict[str, str]:
    """Whom the node stands for, and by which contract."""
    spec = contract["spec"]
    told = {
        SELLER_LABEL: str(spec["seller"].get("nodeID") or ""), FLAVOR_LABEL: str(spec["flavor"]["metadata"]["name"]),
    }  # fmt: skip
    architecture = ((spec["flavor"]["spec"]["flavorType"].get("typeData") or {}).get("characteristics") or {}).get(
        "architecture"
    )
    if architecture:
        told["kubernetes.io/arch"] = str(architecture)
    return {**{name: short(value) for name, value in told.items() if value}, SLICE: mark(contract)}


def remote_identity(contract: Object, address: str) -> str:
    """What no other slice has, also if it is made anew: an identity as clusters have one."""
    return digest(f"{address} {contract['spec']['transactionID']}", 32)
