"""The brokers' kinds: Provider, Consumer, BrokerPolicy, Aggregate, Contract, all cluster-scoped in the broker's cluster.

The structs are the single source: validation, CustomResourceDefinitions, columns and the reference page are made of them.
Import from here; the parts are `broker_*`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from msgspec import Struct

from continuo.resources.broker_contracts import CONTRACT, ContractSpec, ContractStatus, Mode
from continuo.resources.broker_parties import (
    AGGREGATE,
    CONSUMER,
    PROVIDER,
    AggregateSpec,
    AggregateStatus,
    ConsumerSpec,
    ConsumerStatus,
    Moving,
    ProviderSpec,
    ProviderStatus,
)
from continuo.resources.broker_policy import (
    BROKER_POLICY,
    BoundSpec,
    BrokerPolicySpec,
    BrokerPolicyStatus,
    Missing,
    MovesSpec,
    RuleSpec,
    Running,
)
from continuo.resources.broker_types import Measured, SecretRef, Selector
from continuo.resources.decoding import decode_at
from continuo.resources.definitions import Column, definition
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration_rules import COMPARED, Rule
from continuo.resources.schema import struct_schema
from continuo.resources.selectors import Requirement

__all__ = [
    "AGGREGATE",
    "BROKER_KINDS",
    "BROKER_POLICY",
    "CONSUMER",
    "CONTRACT",
    "PROVIDER",
    "AggregateSpec",
    "AggregateStatus",
    "BoundSpec",
    "BrokerPolicySpec",
    "BrokerPolicyStatus",
    "ConsumerSpec",
    "ConsumerStatus",
    "ContractSpec",
    "ContractStatus",
    "Measured",
    "Missing",
    "Mode",
    "MovesSpec",
    "Moving",
    "ProviderSpec",
    "ProviderStatus",
    "RuleSpec",
    "Running",
    "SecretRef",
    "Selector",
    "broker_crds",
    "decode_spec",
    "decode_status",
]

S = TypeVar("S", bound=Struct)
_READY: tuple[Column, ...] = (
    ("READY", "string", ".status.conditions[?(@.type=='Ready')].status", 0),
    ("REASON", "string", ".status.conditions[?(@.type=='Ready')].reason", 0),
    ("MESSAGE", "string", ".status.conditions[?(@.type=='Ready')].message", 1),
)
_AGE: Column = ("AGE", "date", ".metadata.creationTimestamp", 0)


@dataclass(frozen=True, slots=True)
class BrokerKind:
    """One kind with all that is said about it."""

    kind: Kind
    about: str
    spec: type[Struct]
    status: type[Struct]
    columns: tuple[Column, ...]


BROKER_KINDS: tuple[BrokerKind, ...] = (
    BrokerKind(
        PROVIDER, "A cluster that runs workloads for the broker's consumers.", ProviderSpec, ProviderStatus,
        (("ORGANISATION", "string", ".spec.organisation", 0), ("REGION", "string", ".spec.region", 0),
         ("STANDARDS", "string", ".spec.standards", 1), ("NODE", "string", ".spec.node", 1), *_READY, _AGE),
    ),
    BrokerKind(
        CONSUMER, "A cluster whose workloads the broker places on providers.", ConsumerSpec, ConsumerStatus,
        (("ORGANISATION", "string", ".spec.organisation", 0), ("REGION", "string", ".spec.region", 0),
         ("MOVING", "string", ".status.moving[*].pod", 1), *_READY, _AGE),
    ),
    BrokerKind(
        BROKER_POLICY, "Which providers may run whose pods, in CEL.", BrokerPolicySpec, BrokerPolicyStatus,
        (*_READY, ("RUNNING", "string", ".spec.moves.running", 1), _AGE),
    ),
    BrokerKind(
        AGGREGATE, "Providers that one consumer sees as one node.", AggregateSpec, AggregateStatus,
        (("CONSUMER", "string", ".spec.consumer", 0), ("PROVIDERS", "integer", ".status.providers", 0),
         ("CPU", "string", ".status.capacity.cpu", 0), ("MEMORY", "string", ".status.capacity.memory", 0), *_READY, _AGE),
    ),
    BrokerKind(
        CONTRACT, "A plan that a consumer bought from a provider.", ContractSpec, ContractStatus,
        (*_READY, ("CONSUMER", "string", ".spec.consumer", 0), ("PROVIDER", "string", ".spec.provider", 0),
         ("PLAN", "string", ".spec.plan", 0), ("NODE", "string", ".status.node", 0),
         ("MODE", "string", ".status.mode", 1), ("OFFER", "string", ".spec.offer", 1), _AGE),
    ),
)  # fmt: skip

_RULES: dict[type[Struct] | tuple[type[Struct], str], tuple[Rule, ...]] = {
    Requirement: (COMPARED,),
    ProviderSpec: (
        Rule(
            "!has(self.claims) || self.claims.all(name, name.matches('^[a-zA-Z_][a-zA-Z0-9_]{0,62}$'))",
            "has a name that is not letters, digits and underscores: rename it, so that measured.NAME names it",
            "claims",
        ),
    ),
    AggregateSpec: (
        Rule(
            "self.consumer == oldSelf.consumer",
            "cannot change: make another Aggregate for another Consumer",
            "consumer",
        ),
    ),
    ContractSpec: (Rule("self == oldSelf", "cannot change: end this contract and buy another plan"),),
    BrokerPolicySpec: (
        Rule(
            "!has(self.moves) || self.moves.perWorkload <= self.moves.perConsumer",
            "must not be larger than perConsumer, which bounds all workloads of a consumer together",
            "moves.perWorkload",
        ),
    ),
}


def broker_crds() -> list[Object]:
    """The CustomResourceDefinitions of the brokers' kinds, ready to be applied."""
    return [_crd(kind) for kind in BROKER_KINDS]


def _crd(of: BrokerKind) -> Object:
    return definition(of.kind, of.about, struct_schema(of.spec, _RULES), struct_schema(of.status, {}), of.columns)


def decode_spec(obj: Object, to: type[S]) -> S:
    """The object's spec as structs, defaults filled in; raises Invalid with a sentence."""
    return decode_at(obj, "spec", to)


def decode_status(obj: Object, to: type[S]) -> S:
    """The object's status as structs; raises Invalid with a sentence."""
    return decode_at(obj, "status", to)
