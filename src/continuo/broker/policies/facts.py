"""What policies are about, as frozen data: providers with what was measured of them, consumers, pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from continuo.federation.quantities import quantity as read_quantity
from continuo.resources.broker import ConsumerSpec, ProviderSpec, ProviderStatus, decode_spec, decode_status
from continuo.resources.meta import Object, labels_of


def quantity(text: str) -> float:
    """The number that a Kubernetes quantity means; ValueError when it is none."""
    return float(read_quantity(text))


def seconds(stamp: str) -> float:
    """Seconds since the epoch of a Kubernetes time; ValueError when it is none."""
    return datetime.fromisoformat(stamp).timestamp()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured value, and when it was measured."""

    value: float
    at: float
    by: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """A provider. `identity` is all of it but its measurements: equal identities are judged alike."""

    name: str
    identity: bytes
    values: Mapping[str, Any]
    """As expressions see it."""
    labels: Mapping[str, str]
    claims: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Measurement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsumerFacts:
    """A consumer. Equal identities are judged alike."""

    name: str
    identity: bytes
    values: Mapping[str, Any]
    """As expressions see it."""
    labels: Mapping[str, str]

    @property
    def id(self) -> str:
        """What its namespaces carry."""
        return str(self.values["id"])


class PodFacts(msgspec.Struct, frozen=True):
    """What policies may ask of a pod; equal for all replicas of a workload."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    requests: tuple[tuple[str, float], ...]
    images: tuple[str, ...]

    def values(self) -> dict[str, Any]:
        """As expressions see it."""
        return {
            "namespace": self.namespace, "labels": dict(self.labels), "requests": dict(self.requests),
            "images": list(self.images),
        }  # fmt: skip


def provider_facts(obj: Object) -> ProviderFacts:
    """What a Provider says, and what was measured of it; raises Invalid or ValueError with a sentence."""
    spec, name = decode_spec(obj, ProviderSpec), obj["metadata"]["name"]
    labels = dict(labels_of(obj))
    values = {
        "name": name, "id": spec.cluster_id or name, "organisation": spec.organisation or "",
        "region": spec.region or "", "standards": list(spec.standards), "labels": labels, "claims": dict(spec.claims),
    }  # fmt: skip
    measured = {
        entry.name: Measurement(entry.value, seconds(entry.at), entry.by)
        for entry in decode_status(obj, ProviderStatus).measured
    }
    return ProviderFacts(name, _identity(values), values, labels, dict(spec.claims), measured)


def consumer_facts(obj: Object) -> ConsumerFacts:
    """What a Consumer says; raises Invalid with a sentence."""
    spec, name = decode_spec(obj, ConsumerSpec), obj["metadata"]["name"]
    labels = dict(labels_of(obj))
    values = {
        "name": name, "id": spec.cluster_id or name, "organisation": spec.organisation or "",
        "region": spec.region or "", "labels": labels, "attributes": dict(spec.attributes),
    }  # fmt: skip
    return ConsumerFacts(name, _identity(values), values, labels)


def _identity(values: Mapping[str, Any]) -> bytes:
    return repr(sorted((key, _ordered(value)) for key, value in values.items())).encode()


def _ordered(value: Any) -> Any:
    return sorted(value.items()) if isinstance(value, dict) else value
