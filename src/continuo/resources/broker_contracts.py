"""What was bought: one plan of one provider for one consumer, as an object of the broker's cluster."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.broker_parties import GROUP, VERSION, Conditions
from continuo.resources.meta import Kind
from continuo.resources.orchestration_types import ObjectName, Quantity, Word, doc, many
from continuo.resources.selectors import LabelKey

CONTRACT = Kind(GROUP, VERSION, "Contract", "contracts", namespaced=False, short_names=("bcon",))
NodeName = Annotated[
    str,
    Meta(
        min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        extra={"says": "must be lower-case letters, digits and dashes, beginning and ending with a letter or digit"},
    ),
]  # fmt: skip


class Mode(StrEnum):
    """How a contract is fulfilled; decided once, when it begins."""

    LINKED = "Linked"
    """The consumer's cluster has a node that stands for the provider."""
    HANDED_OVER = "HandedOver"
    """The provider's cluster has a namespace for the consumer, who gets credentials for it."""


class ContractSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was bought, by whom, from whom."""

    consumer: Annotated[ObjectName, doc("The Consumer that bought.")]
    provider: Annotated[ObjectName, doc("The Provider that sold.")]
    offer: Annotated[Word, doc("The offer, as it was called in the catalog.")]
    plan: Annotated[Word, doc("The plan of it.")]
    resources: Annotated[dict[LabelKey, Quantity], many("How much of each resource.", 64)] = {}
    features: Annotated[
        tuple[LabelKey, ...], many("What the plan says is there, without an amount.", 64, list_type="set")
    ] = ()
    node: Annotated[
        NodeName | None,
        doc("The virtual node's name at the consumer; the Provider's name and eight letters of ours where absent."),
    ] = None


class ContractStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How it is with a contract. There are no secrets in it."""

    mode: Annotated[
        Mode | None,
        doc("How it is fulfilled: by a node in the consumer's cluster, or by a namespace in the provider's."),
    ] = None
    node: Annotated[Annotated[str, Meta(max_length=253)], doc("The virtual node at the consumer.")] = ""
    namespace: Annotated[Annotated[str, Meta(max_length=63)], doc("The namespace at the provider.")] = ""
    conditions: Conditions = ()
