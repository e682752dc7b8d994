"""Whom a broker deals with: providers, consumers, and aggregates of providers that look like one."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from continuo.resources.broker_types import (
    MAX_MOVING,
    MAX_NUMBERS,
    MAX_STANDARDS,
    Attribute,
    Measured,
    MetricName,
    SecretRef,
    Selector,
    Time,
)
from continuo.resources.meta import Kind
from continuo.resources.orchestration_status import Condition
from continuo.resources.orchestration_types import ObjectName, Quantity, ResourceName, Word, doc, many
from continuo.resources.selectors import LabelKey

GROUP, VERSION = "continuo.dev", "v1alpha1"
PROVIDER = Kind(GROUP, VERSION, "Provider", "providers", namespaced=False, short_names=("bprov",))
CONSUMER = Kind(GROUP, VERSION, "Consumer", "consumers", namespaced=False, short_names=("bcons",))
AGGREGATE = Kind(GROUP, VERSION, "Aggregate", "aggregates", namespaced=False, short_names=("bagg",))

Conditions = Annotated[
    tuple[Condition, ...], Meta(max_length=16, description="`Ready`.", extra={"list_type": "map", "keys": ["type"]})
]
_IN_THE_NETWORK = "The cluster's ID among the clusters that are linked, such as its Liqo cluster ID; {} where absent."


class ProviderSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A cluster that runs workloads for consumers. Policies see its labels (`metadata.labels`) too."""

    cluster_id: Annotated[Word | None, doc(_IN_THE_NETWORK.format("the Provider's name"))] = field(
        default=None, name="clusterID"
    )
    organisation: Annotated[Word | None, doc("Who runs it.")] = None
    region: Annotated[Word | None, doc("Where it is, such as `eu-south`.")] = None
    standards: Annotated[
        tuple[Word, ...], many("What it was certified for, such as `iso27001`.", MAX_STANDARDS, list_type="set")
    ] = ()
    claims: Annotated[
        dict[MetricName, float],
        many("What it says of itself: numbers under the names that measured values have.", MAX_NUMBERS),
    ] = {}
    node: Annotated[
        ObjectName | None, doc("The virtual node that stands for it; the Provider's name where absent.")
    ] = None
    kubeconfig: Annotated[SecretRef | None, doc("How the broker reaches it, where it does so itself.")] = None
    scheduler: Annotated[
        Word | None,
        doc("Who places pods there: `continuo-broker` where it is a broker itself; its own scheduler where absent."),
    ] = None


class ProviderStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the broker knows of a provider."""

    measured: Annotated[
        tuple[Measured, ...],
        Meta(max_length=MAX_NUMBERS, description="The newest measured values.",
             extra={"list_type": "map", "keys": ["name"]}),
    ] = ()  # fmt: skip
    conditions: Conditions = ()


class ConsumerSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A cluster that brings workloads. Policies see its labels (`metadata.labels`) too."""

    cluster_id: Annotated[
        Word | None,
        doc(
            "What the namespaces of its workloads carry as label `continuo.dev/consumer` or "
            "`liqo.io/remote-cluster-id`; the Consumer's name where absent."
        ),
    ] = field(default=None, name="clusterID")
    organisation: Annotated[Word | None, doc("Whose it is.")] = None
    region: Annotated[Word | None, doc("Where it is.")] = None
    attributes: Annotated[
        dict[LabelKey, Attribute], many("What the broker has certified of it, for policies to ask for.", MAX_NUMBERS)
    ] = {}
    kubeconfig: Annotated[SecretRef | None, doc("How the broker reaches it, where it may.")] = None
    node: Annotated[
        ObjectName | None, doc("The virtual node that stands for the broker there; the broker's own name where absent.")
    ] = None


class Moving(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One pod that is being moved: written down before it is evicted, struck out when its replacement runs."""

    uid: Annotated[str, Meta(max_length=64, description="The UID of the pod that goes.")]
    namespace: Annotated[str, Meta(max_length=63, description="Its namespace.")]
    pod: Annotated[str, Meta(max_length=253, description="Its name.")]
    workload: Annotated[str, Meta(max_length=320, description="What it is a replica of.")]
    source: Annotated[str, Meta(max_length=253, description="The provider that it leaves.")] = field(name="from")
    home: Annotated[str, Meta(max_length=253, description="The provider that it returns to once it may.")]
    back: Annotated[bool, Meta(description="Whether this is the return.")] = False
    since: Annotated[Time, Meta(description="When this was decided.")]
    why: Annotated[str, Meta(max_length=512, description="Why, in one sentence.")] = ""


class ConsumerStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a consumer's workloads are."""

    moving: Annotated[
        tuple[Moving, ...],
        Meta(max_length=MAX_MOVING, description="Pods on their way from one provider to another.",
             extra={"list_type": "atomic"}),
    ] = ()  # fmt: skip
    conditions: Conditions = ()


class AggregateSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """Providers that one consumer sees as one node."""

    consumer: Annotated[ObjectName, doc("The Consumer that gets the node.")]
    providers: Annotated[Selector, doc("The Providers that stand behind it; all of them where absent.")] = Selector()
    node: Annotated[ObjectName | None, doc("The node's name at the consumer; the Aggregate's name where absent.")] = (
        None
    )
    quota: Annotated[
        dict[ResourceName, Quantity], many("At most so much of each resource, whatever the providers have.", 32)
    ] = {}
    provider_quota: Annotated[
        dict[ResourceName, Quantity], many("At most so much of each resource from any one provider.", 32)
    ] = {}
    oversubscription: Annotated[float, Meta(ge=1.0, le=100.0), doc("How often what the providers have is offered.")] = (
        1.0
    )


class AggregateStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What an aggregate offers now."""

    capacity: Annotated[
        dict[str, Annotated[str, Meta(max_length=32)]], Meta(max_length=32, description="The sum that is offered.")
    ] = {}
    providers: Annotated[
        Annotated[int, Meta(ge=0, extra={"format": "int32"})], Meta(description="How many providers answer.")
    ] = 0
    conditions: Conditions = ()
