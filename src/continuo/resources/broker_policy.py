"""BrokerPolicy: which provider may run whose pods, in CEL."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.broker_parties import GROUP, VERSION, Conditions
from continuo.resources.broker_types import (
    LONGEST_EXPRESSION,
    MAX_RULES,
    Expression,
    RuleName,
    Seconds,
    Selector,
)
from continuo.resources.meta import Kind
from continuo.resources.orchestration_types import by_name, doc
from continuo.resources.selectors import LabelSelector

BROKER_POLICY = Kind(GROUP, VERSION, "BrokerPolicy", "brokerpolicies", namespaced=False, short_names=("bpol",))
_RULE = (
    "True where it is fulfilled. It may use `consumer` (name, id, organisation, region, labels, attributes), `provider` "
    "(name, id, organisation, region, standards, labels, claims) and `pod` (namespace, labels, requests, images)."
)


class Missing(StrEnum):
    """What a performance rule does where a value was not measured, or too long ago."""

    DENY = "Deny"
    ALLOW = "Allow"
    CLAIM = "Claim"


class Running(StrEnum):
    """What becomes of pods that run where the policy no longer allows them."""

    MOVE = "Move"
    KEEP = "Keep"


class RuleSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition that must be true. What cannot be evaluated is not fulfilled."""

    name: Annotated[RuleName, doc("The rule's name, as explanations give it.")]
    expression: Annotated[Expression, doc(_RULE)]
    message: Annotated[
        Annotated[str, Meta(max_length=256)] | None, doc("What to say to people where it is not fulfilled.")
    ] = None


class BoundSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition on measured values."""

    name: Annotated[RuleName, doc("The rule's name, as explanations give it.")]
    expression: Annotated[
        Expression,
        doc(f"{_RULE} Beside them `measured`, numbers by name, of which only those that are young enough are there."),
    ]
    max_age: Annotated[Seconds, doc("Seconds after which a measured value counts as missing.")] = 600
    when_missing: Annotated[
        Missing,
        doc(
            "What to do where a value is missing: `Deny`, `Allow`, or `Claim`: take what the provider claims, and deny "
            "where it claims nothing."
        ),
    ] = Missing.DENY
    message: Annotated[
        Annotated[str, Meta(max_length=256)] | None, doc("What to say to people where it is not fulfilled.")
    ] = None


class MovesSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """What becomes of pods that run already when the policy, a provider or a measurement changes."""

    running: Annotated[Running, doc("`Move` them to a provider that is allowed, or `Keep` them where they are.")] = (
        Running.MOVE
    )
    per_workload: Annotated[
        int, Meta(ge=1, le=200), doc("How many pods of one workload may be on the move at a time.", format="int32")
    ] = 1
    per_consumer: Annotated[
        int, Meta(ge=1, le=200), doc("How many pods of one consumer may be on the move at a time.", format="int32")
    ] = 10
    after: Annotated[Seconds, doc("Seconds that a performance rule must be broken before pods move.")] = 0
    return_after: Annotated[
        Seconds, doc("Seconds that a provider must be allowed again without a break before pods return to it.")
    ] = 300


class BrokerPolicySpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A provider may run a pod where at least one policy covers the three, and every policy that does is fulfilled."""

    consumers: Annotated[Selector, doc("The Consumers that it is about; all where absent.")] = Selector()
    providers: Annotated[Selector, doc("The Providers that it is about; all where absent.")] = Selector()
    pods: Annotated[LabelSelector, doc("The pods that it is about; all where absent.")] = LabelSelector()
    authorization: Annotated[tuple[RuleSpec, ...], by_name("The providers' side: who may come.", MAX_RULES)] = ()
    compliance: Annotated[
        tuple[RuleSpec, ...], by_name("The consumers' side: what a provider must be.", MAX_RULES)
    ] = ()
    performance: Annotated[tuple[BoundSpec, ...], by_name("Bounds on what was measured.", MAX_RULES)] = ()
    rank: Annotated[
        Annotated[str, Meta(min_length=1, max_length=LONGEST_EXPRESSION)] | None,
        doc(
            "A number; the provider with the largest is taken first, as with `-measured.latency`. Several policies add up."
        ),
    ] = None
    moves: Annotated[MovesSpec, doc("What becomes of pods that run already.")] = MovesSpec()


class BrokerPolicyStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Whether a policy can be used; while it cannot, nothing that it covers is placed."""

    conditions: Conditions = ()
