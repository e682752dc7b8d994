"""What an operator decides about the flavors of sensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from continuo.trust.ids import TrustDomain

NODE_LABEL = "node-role.fluidos.eu/sensors"
PREFIX = "sensors.continuo.dev/"
"""Annotations of Devices and Nodes that say what their sensors cost and where they are: `price-amount`, `location-city`."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a sensor costs unless its Device or Node says otherwise."""

    amount: str = "0"
    currency: str = "EUR"
    period: str = "hourly"


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of the Edge Resource Manager."""

    node_label: str = NODE_LABEL
    """Nodes with this label, and exactly `true` in it, have sensors for sale."""
    price: Price = Price()
    location: Mapping[str, str] = field(default_factory=dict)
    """latitude, longitude, country, city, additionalNotes."""
    network: str = "edge"
    """`networkPropertyType` of the flavors."""
    source: str = "eventbus-fluidos"
    """The RuleEndpoint that readings come from, where an annotation names none."""
    budget: float = 30.0
    """Messages a second that an edge node sends to the cloud: KubeEdge's default."""
    trust_domain: TrustDomain | None = None
    """Whose devices they are: Flavors then name the SPIFFE ID of their device. None: they do not."""
