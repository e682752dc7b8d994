"""Who takes part, what they offer, and what they allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, BROKER_POLICY, CONSUMER, PROVIDER
from continuo.resources.meta import Object

BROKER, SYSTEM = "broker", "continuo-system"
NODES = 6
"""Of each provider."""


@dataclass(frozen=True, slots=True)
class Party:
    """A cluster, and what its owner says of it."""

    name: str
    organisation: str
    region: str
    standards: tuple[str, ...] = ()
    sector: str = ""
    price: str = ""


PROVIDERS = (
    Party("milan", "Navigli Cloud", "eu-south", ("iso27001",), price="0.90"),
    Party("turin", "Mole Hosting", "eu-south", ("iso27001",), price="1.10"),
    Party("lyon", "Rhone Research", "eu-west", price="0.70"),
    Party("boston", "Bay Hosting", "us-east", ("iso27001",), price="0.50"),
)
CONSUMERS = (
    Party("rome", "Ospedale", "eu-south", sector="health"),
    Party("oslo", "Fjord Lab", "eu-north", sector="research"),
)
_SMALL, _LARGE = {"cpu": "4", "memory": "8Gi", "pods": "50"}, {"cpu": "20", "memory": "40Gi", "pods": "600"}
BUYER, BOUGHT = "rome", "milan"
TRANSPARENT, OPAQUE = "broker", "pool"
"""The nodes that the consumer gets: the orchestrator's and the aggregator's."""


def clusters() -> list[str]:
    """As `continuo up --cluster` takes them."""
    return [
        f"{BROKER}:2",
        *(f"{party.name}:2" for party in CONSUMERS),
        *(f"{party.name}:{NODES}" for party in PROVIDERS),
    ]


def declared() -> list[Object]:
    """The objects of the broker's cluster."""
    objects = [kinds.NAMESPACE.new(SYSTEM)]
    for party in PROVIDERS:
        spec = {
            "organisation": party.organisation, "region": party.region, "standards": list(party.standards),
            "kubeconfig": {"name": party.name},
        }  # fmt: skip
        objects.append(PROVIDER.new(party.name, spec=spec))
    for party in CONSUMERS:
        spec = {
            "organisation": party.organisation, "region": party.region, "attributes": {"sector": party.sector},
            "kubeconfig": {"name": party.name}, "node": TRANSPARENT,
        }  # fmt: skip
        objects.append(CONSUMER.new(party.name, spec=spec))
    objects += [BROKER_POLICY.new(name, spec=spec) for name, spec in _policies().items()]
    return [*objects, AGGREGATE.new(OPAQUE, spec={"consumer": BUYER})]


def _policies() -> dict[str, Any]:
    return {
        "in-europe": {
            "compliance": [{"name": "region", "expression": "provider.region.startsWith('eu-')",
                            "message": "data stays in Europe"}],
        },
        "health-data": {
            "consumers": {"names": ["rome"]},
            "compliance": [{"name": "certified", "expression": "'iso27001' in provider.standards",
                            "message": "health data needs a certified provider"}],
        },
        "research-only": {
            "providers": {"names": ["lyon"]},
            "authorization": [{"name": "sector", "expression": "consumer.attributes['sector'] == 'research'",
                               "message": "lyon serves research only"}],
        },
    }  # fmt: skip


def offer(party: Party) -> dict[str, Any]:
    """What a provider publishes."""
    plans = {
        "small": {"planID": "small", "cost": party.price, "resources": _SMALL},
        "large": {"planID": "large", "cost": _times(party.price, 5), "resources": _LARGE},
    }
    labels = {"certified": "iso27001"} if party.standards else {}
    return {
        "name": f"Compute of {party.organisation}", "type": "compute", "region": party.region, "labels": labels,
        "plans": plans,
    }  # fmt: skip


def _times(price: str, factor: int) -> str:
    from decimal import Decimal

    return str(Decimal(price) * factor)


def space(name: str, node: str) -> Object:
    """A namespace whose pods may go to a node."""
    return kinds.NAMESPACE.new(name, metadata={"labels": {"continuo.dev/offload": node}})


def deployment(namespace: str, name: str, replicas: int, node: str | None) -> Object:
    """So many pods, on a virtual node or wherever there is room."""
    labels = {"app": name}
    pod: Object = {
        "containers": [{"name": "web", "image": "registry.example.org/web:1", "ports": [{"containerPort": 8080}],
                        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}],
        "terminationGracePeriodSeconds": 1,
    }  # fmt: skip
    if node is not None:
        pod |= {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [{"key": "continuo.dev/virtual-node", "operator": "Exists"}],
        }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return kinds.DEPLOYMENT.new(name, namespace, spec=spec)
