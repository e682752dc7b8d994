"""What follows from a contract: names, what its node offers, what its namespace may use. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from continuo.federation.plans import limits as limits
from continuo.federation.plans import node_offer as node_offer
from continuo.federation.plans import quota as quota
from continuo.federation.plans import short as short
from continuo.federation.quantities import canonical, quantity
from continuo.federation.reflection.spaces import CONSUMER
from continuo.resources import kinds
from continuo.resources.broker import ContractSpec
from continuo.resources.meta import Object, labels_of

MANAGER = "continuo-contracts"
FINALIZER = "continuo.dev/contract"
CONTRACT = "continuo.dev/contract"
"""Label of everything that is there because of a contract: its name."""
PROVIDER = "continuo.dev/provider"
REGION = "topology.kubernetes.io/region"
BUYER = "continuo-buyer"
"""The account in the namespace that is handed over, and its role."""
_LONGEST = 63
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_USUAL = re.compile(r"[0-9]{1,24}(\.[0-9]{1,3})?(m|[kMGTPE]|[KMGTPE]i)?")
_EVERYTHING = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_LOOK = ["get", "list", "watch"]
Amounts: TypeAlias = dict[str, str]


def word(text: str) -> str:
    """The text as the value of a label."""
    return text if _LABEL.fullmatch(text) else _hash(text)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def node_of(contract: str, provider: str, node: str | None) -> str:
    """The virtual node's name."""
    return node or f"{short(provider, _LONGEST - 9)}-{contract[:8]}".replace(".", "-").rstrip("-")


def namespace_of(contract: str) -> str:
    """The namespace at the provider."""
    return short(f"contract-{contract}".replace(".", "-"))


def amounts(resources: Mapping[str, str]) -> Amounts:
    """Quantities as every API server takes them: catalogs also know thousand millionths."""
    return {name: text if _USUAL.fullmatch(text) else _exact(name, text) for name, text in resources.items()}


def _exact(name: str, text: str) -> str:
    return canonical(name, quantity(text))


# --- a node -----------------------------------------------------------------------------------------------------------
def node_labels(contract: str, spec: ContractSpec, region: str | None) -> dict[str, str]:
    """Whom the node stands for, where that is, and what the plan says is there."""
    features = {name: "true" for name in spec.features if len(name) <= 317}
    place = {REGION: region} if region and _LABEL.fullmatch(region) else {}
    return {**features, **place, CONTRACT: contract, PROVIDER: word(spec.provider)}


# --- a namespace ------------------------------------------------------------------------------------------------------
def marks(contract: str, consumer: str) -> dict[str, str]:
    """The labels of the namespace and of all that we put there."""
    return {CONTRACT: contract, CONSUMER: word(consumer), "app.kubernetes.io/managed-by": "continuo"}


def handed_over(contract: str, spec: ContractSpec, consumer: str, there: Iterable[str] = ()) -> list[Object]:
    """The namespace and what is in it, in the order in which it has to be applied; the account that may enter comes last."""
    name, labels = namespace_of(contract), marks(contract, consumer)
    meta = {"metadata": {"labels": labels}}
    safe = {"pod-security.kubernetes.io/enforce": "baseline"}
    found = [
        kinds.NAMESPACE.new(name, metadata={"labels": {**labels, **safe}}),
        kinds.RESOURCE_QUOTA.new("plan", name, **meta, spec={"hard": quota(spec.resources, there)}),
    ]
    if bounds := limits(spec.resources):
        found.append(kinds.LIMIT_RANGE.new("plan", name, **meta, spec={"limits": bounds}))
    subject = {"kind": "ServiceAccount", "name": BUYER, "namespace": name}
    role = {"apiGroup": kinds.ROLE.group, "kind": "Role", "name": BUYER}
    return [
        *found,
        kinds.ROLE.new(BUYER, name, **meta, rules=rules()),
        kinds.ROLE_BINDING.new(BUYER, name, **meta, roleRef=role, subjects=[subject]),
        account(contract, consumer),
    ]


def account(contract: str, consumer: str) -> Object:
    """The account that the buyer's credentials are of."""
    meta = {"labels": marks(contract, consumer)}
    return kinds.SERVICE_ACCOUNT.new(BUYER, namespace_of(contract), metadata=meta, automountServiceAccountToken=False)


def rules() -> list[Object]:
    """What a workload's owner needs, in that namespace alone."""
    return [
        _rule("", ("configmaps", "persistentvolumeclaims", "pods", "secrets", "services"), _EVERYTHING),
        _rule("", ("pods/eviction", "pods/exec", "pods/portforward"), ["create", "get"]),
        _rule("", ("events", "limitranges", "pods/log", "pods/status", "resourcequotas"), _LOOK),
        _rule("", ("events",), ["create", "patch"]),
        _rule("apps", ("deployments", "deployments/scale", "replicasets", "statefulsets"), _EVERYTHING),
        _rule("batch", ("cronjobs", "jobs"), _EVERYTHING),
        _rule("discovery.k8s.io", ("endpointslices",), _EVERYTHING),
        _rule("events.k8s.io", ("events",), _LOOK),
    ]


def _rule(group: str, resources: Iterable[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def is_of(obj: Object, contract: str) -> bool:
    """Whether an object is there because of this contract."""
    return labels_of(obj).get(CONTRACT) == contract


def has_begun(contract: Object) -> bool:
    """Whether something of it may be somewhere: its finalizer is on it, and how it is fulfilled is written down."""
    held = FINALIZER in (contract["metadata"].get("finalizers") or ())
    return held and bool((contract.get("status") or {}).get("mode"))
