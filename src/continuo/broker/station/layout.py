"""Which virtual nodes a Provider, a Consumer or an Aggregate means. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from continuo.broker.selector.names import BROKERED, PROVIDER
from continuo.broker.station.names import BROKER, KEPT, REGION, STATION
from continuo.federation.reflection.engine import Settings
from continuo.federation.reflection.fleet import Peer
from continuo.resources.broker import AggregateSpec, ConsumerSpec, ProviderSpec

SCHEDULER = "continuo-broker"
_TAINT = {"key": BROKERED, "value": "true", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Home:
    """The broker's own cluster."""

    cluster: str
    """The name of its client."""
    id: str
    """What it is called among clusters."""
    node: str
    """What its node is called at consumers, where they do not say."""


def of_provider(home: Home, name: str, spec: ProviderSpec, client: str) -> Peer:
    """The provider's node in the broker's cluster. Only the broker's scheduler places pods on it."""
    labels = {PROVIDER: name, KEPT: STATION, **({REGION: spec.region} if spec.region else {})}
    settings = Settings(
        spec.node or name, frozenset(), home_id=home.id, remote_id=spec.cluster_id or name, consumers=True,
        labels=labels, taints=(_TAINT,), scheduler=spec.scheduler,
    )  # fmt: skip
    return Peer(home.cluster, client, settings)


def of_consumer(home: Home, name: str, spec: ConsumerSpec, client: str) -> Peer:
    """The broker's node at a consumer: it shows where pods run, and traffic goes there directly."""
    return _at_consumer(home, spec.node or home.node, spec.cluster_id or name, client, opaque=False)


def of_aggregate(home: Home, name: str, spec: AggregateSpec, consumer: ConsumerSpec, client: str) -> Peer:
    """An aggregate's node at its consumer: one cluster, of which nobody says what is behind it."""
    return _at_consumer(home, spec.node or name, consumer.cluster_id or spec.consumer, client, opaque=True)


def _at_consumer(home: Home, node: str, consumer: str, client: str, *, opaque: bool) -> Peer:
    settings = Settings(
        node, frozenset(), home_id=consumer, remote_id=home.id, naming="suffixed", scheduler=SCHEDULER,
        labels={BROKER: home.id}, offload=True, opaque=opaque, counted=PROVIDER,
    )  # fmt: skip
    return Peer(client, home.cluster, settings)
