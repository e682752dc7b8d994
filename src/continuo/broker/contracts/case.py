"""One contract with all that is known of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from continuo.broker.contracts import terms
from continuo.resources.broker import (
    ConsumerSpec,
    ContractSpec,
    ContractStatus,
    Mode,
    ProviderSpec,
    decode_spec,
    decode_status,
)
from continuo.resources.meta import Object


@dataclass(frozen=True, slots=True)
class Case:
    """A contract and both parties."""

    object: Object
    spec: ContractSpec
    mode: Mode | None
    provider: ProviderSpec | None
    """None: there is no such Provider."""
    consumer: ConsumerSpec | None

    @property
    def name(self) -> str:
        """The contract's name."""
        name: str = self.object["metadata"]["name"]
        return name

    @property
    def node(self) -> str:
        """The virtual node at the consumer."""
        return terms.node_of(self.name, self.spec.provider, self.spec.node)

    @property
    def consumer_id(self) -> str:
        """What the consumer's cluster is called among clusters, and in labels."""
        known = self.consumer.cluster_id if self.consumer is not None else None
        return terms.word(known or self.spec.consumer)

    @property
    def provider_id(self) -> str:
        """What the provider's cluster is called."""
        known = self.provider.cluster_id if self.provider is not None else None
        return known or self.spec.provider

    @property
    def region(self) -> str | None:
        """Where the provider is."""
        return self.provider.region if self.provider is not None else None


def read(contract: Object, provider: Object | None, consumer: Object | None) -> Case:
    """The case as the objects tell it; raises Invalid with a sentence."""
    return Case(
        contract,
        decode_spec(contract, ContractSpec),
        decode_status(contract, ContractStatus).mode,
        decode_spec(provider, ProviderSpec) if provider is not None else None,
        decode_spec(consumer, ConsumerSpec) if consumer is not None else None,
    )


def consumer_and_node(contract: Object) -> tuple[str, str]:
    """The node that a contract means."""
    name, spec = contract["metadata"]["name"], contract["spec"]
    return spec["consumer"], terms.node_of(name, spec["provider"], spec.get("node"))


INDEXES: Mapping[str, Callable[[Object], Iterable[Hashable]]] = {
    "Consumer": lambda contract: (contract["spec"]["consumer"],),
    "Provider": lambda contract: (contract["spec"]["provider"],),
    "node": lambda contract: (consumer_and_node(contract),),
    "pair": lambda contract: ((contract["spec"]["consumer"], contract["spec"]["provider"]),),
}
