"""How an orchestration looks after itself: where components may be placed, what that may cost, and its closed loops."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.orchestration_clusters import ClusterSpec
from continuo.resources.orchestration_types import (
    AppName,
    ClusterRef,
    Owner,
    Quantity,
    ResourceName,
    by_name,
    doc,
    many,
)
from continuo.resources.selectors import LabelSelector

MAX_POLICIES, MAX_BUDGETS, MAX_ON_DEMAND = 32, 64, 16
LONGEST_QUERY = 2048

Seconds = Annotated[int, Meta(ge=0, le=86_400, extra={"format": "int32"})]
Weight = Annotated[float, Meta(ge=0, le=1000)]
Amount = Annotated[float, Meta(ge=0, le=1e12)]
ComponentPath = Annotated[
    str,
    Meta(
        min_length=3, max_length=107, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z]([-a-z0-9]*[a-z0-9])?$",
        extra={"says": "must be APPLICATION/COMPONENT, such as shop/web"},
    ),
]  # fmt: skip
Query = Annotated[str, Meta(min_length=1, max_length=LONGEST_QUERY)]


class Weights(Struct, frozen=True, kw_only=True, rename="kebab"):
    """How much each objective counts; 0 leaves it out."""

    latency: Annotated[Weight, doc("Components that talk to each other are near each other.")] = 1.0
    cost: Annotated[Weight, doc("Clusters that cost little.")] = 1.0
    carbon: Annotated[Weight, doc("Clusters whose energy is clean.")] = 0.0
    balance: Annotated[Weight, doc("No cluster is much fuller than another.")] = 0.5
    moves: Annotated[Weight, doc("What runs stays where it runs.")] = 5.0


class Budget(Struct, frozen=True, kw_only=True, rename="kebab"):
    """What all components of one owner may cost together."""

    owner: Annotated[Owner, doc("The owner, as applications name it.")]
    cost: Annotated[Amount | None, doc("At most so much per hour, in the unit that clusters' `cost` is in.")] = None
    carbon: Annotated[Amount | None, doc("At most so many grams of CO2 equivalent per hour.")] = None


class Scheduler(StrEnum):
    """Who decides where components go."""

    BUILTIN = "builtin"
    EXTERNAL = "external"


class MeasureBandwidth(StrEnum):
    """When the bandwidth of links is measured."""

    WHEN_BOUNDED = "when-bounded"
    ALWAYS = "always"
    NEVER = "never"


class PlacementSpec(Struct, frozen=True, kw_only=True, rename="kebab"):
    """How components are placed that leave the choice."""

    scheduler: Annotated[
        Scheduler,
        doc("`external` waits for decisions over `/scheduler/v1`; past `decide-within` the built-in one decides."),
    ] = Scheduler.BUILTIN
    decide_within: Annotated[Seconds, doc("Seconds that an external scheduler has for a component.")] = 30
    exact_within: Annotated[
        Seconds, doc("Seconds that an exact solver may look for a better answer than the heuristic's; 0 asks none.")
    ] = 0
    measure_bandwidth: Annotated[
        MeasureBandwidth,
        doc("Which links get probers: `when-bounded` those that components with a `bandwidthBps` may talk over."),
    ] = MeasureBandwidth.WHEN_BOUNDED
    weights: Annotated[Weights, doc("How much each objective counts.")] = Weights()
    budgets: Annotated[
        tuple[Budget, ...],
        many("What owners may spend.", MAX_BUDGETS, list_type="map", keys=["owner"]),
    ] = ()


class MetricSource(StrEnum):
    """Who is asked for a figure."""

    RESOURCE = "Resource"
    PROMETHEUS = "Prometheus"


class Metric(Struct, frozen=True, kw_only=True, rename="kebab"):
    """A figure that a loop follows."""

    source: Annotated[
        MetricSource,
        doc("`Resource`: use divided by requests, of the metrics API; `Prometheus`: the number that a query returns."),
    ] = MetricSource.RESOURCE
    resource: Annotated[ResourceName, doc("`cpu` or `memory`, with source `Resource`.")] = "cpu"
    query: Annotated[Query | None, doc("A query that returns one number, with source `Prometheus`.")] = None
    target: Annotated[
        Annotated[float, Meta(ge=1e-9, le=1e12)],
        doc("The value per pod (or worker) that is wanted: 0.7 means that 70 % of what was requested is used."),
    ]
    tolerance: Annotated[
        Annotated[float, Meta(ge=0, le=1)], doc("How far off, as a part of the target, is near enough to do nothing.")
    ] = 0.1
    per_unit: Annotated[
        bool, doc("Whether a query's number is of one pod (or worker) already, rather than of all together.")
    ] = False


class ScaleComponent(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Keep a figure of a component at its target by the number of its pods."""

    component: Annotated[ComponentPath, doc("The component: APPLICATION/COMPONENT.")]
    metric: Annotated[Metric, doc("What is followed.")]
    min: Annotated[int, Meta(ge=1, le=100), doc("At least so many pods.", format="int32")] = 1
    max: Annotated[int, Meta(ge=1, le=100), doc("At most so many pods.", format="int32")] = 10
    step: Annotated[int, Meta(ge=1, le=100), doc("At most so many more or fewer at once.", format="int32")] = 4
    down_after: Annotated[
        Seconds, doc("Seconds for which fewer must be enough before there are fewer; more come at once.")
    ] = 300


class ScaleCluster(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Keep a figure of a cluster at its target by the number of its workers."""

    cluster: Annotated[ClusterRef, doc("The cluster.")]
    metric: Annotated[
        Metric | None, doc("What is followed; where absent, requested divided by allocatable CPU, kept at 0.75.")
    ] = None
    min: Annotated[int, Meta(ge=0, le=1000), doc("At least so many workers.", format="int32")] = 1
    max: Annotated[int, Meta(ge=1, le=1000), doc("At most so many workers.", format="int32")] = 10
    step: Annotated[int, Meta(ge=1, le=100), doc("At most so many more or fewer at once.", format="int32")] = 2
    down_after: Annotated[Seconds, doc("Seconds for which fewer must be enough before there are fewer.")] = 600


class ProvisionCluster(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Create a cluster when a component fits nowhere, and remove it once it is empty."""

    template: Annotated[
        ClusterSpec, doc("What the clusters are like; `name` is what theirs begin with: `burst` makes `burst-1`.")
    ]
    max: Annotated[int, Meta(ge=1, le=MAX_ON_DEMAND), doc("At most so many at a time.", format="int32")] = 1
    capacity: Annotated[
        dict[ResourceName, Quantity],
        many("What one such cluster can take, such as `cpu: 8`: known only once the first is there.", 8),
    ] = {}
    remove_after: Annotated[Seconds, doc("Seconds for which one must be empty before it goes.")] = 600
    consolidate: Annotated[
        bool, doc("Whether one is also emptied, when everything on it has had room elsewhere for `remove-after`.")
    ] = False


class Failover(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Move components off a cluster that failed or that is cordoned, and bring them home when it is back."""

    clusters: Annotated[LabelSelector, doc("Clusters that are looked after, by their labels; all where empty.")] = (
        LabelSelector()
    )
    after: Annotated[Seconds, doc("Seconds for which a cluster must not answer before it counts as failed.")] = 60
    return_home: Annotated[bool, doc("Whether components go back.")] = True
    return_after: Annotated[Seconds, doc("Seconds for which a cluster must be well before anything goes back.")] = 300
    moves_per_minute: Annotated[
        int, Meta(ge=1, le=1000), doc("At most so many components move in a minute, either way.", format="int32")
    ] = 10


class Approval(StrEnum):
    """Whether a person has to agree."""

    NONE = "none"
    REQUIRED = "required"


class Policy(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One closed loop: exactly one of `scale-component`, `scale-cluster`, `provision-cluster`, `failover`."""

    name: Annotated[AppName, doc("The loop's name.")]
    scale_component: Annotated[ScaleComponent | None, doc("Pods by a figure.")] = None
    scale_cluster: Annotated[ScaleCluster | None, doc("Workers by a figure.")] = None
    provision_cluster: Annotated[ProvisionCluster | None, doc("Clusters on demand.")] = None
    failover: Annotated[Failover | None, doc("Away from failed clusters, and back.")] = None
    hold: Annotated[bool, doc("Observe and decide, and act on nothing.")] = False
    approval: Annotated[Approval, doc("`required`: act only on decisions that somebody approved.")] = Approval.NONE
    approval_within: Annotated[Seconds, doc("Seconds after which a decision that nobody approved is void.")] = 86_400
    every: Annotated[
        Annotated[int, Meta(ge=1, le=3600, extra={"format": "int32"})],
        doc("Seconds between two looks at figures; what can be watched is looked at when it changes."),
    ] = 15
    cool_down: Annotated[Seconds, doc("Seconds after an action in which the loop takes no other.")] = 60
    actions_per_hour: Annotated[
        int,
        Meta(ge=1, le=1000),
        doc("At most so many actions in an hour; beyond, the loop stalls and says so.", format="int32"),
    ] = 60


Policies = Annotated[tuple[Policy, ...], by_name("The closed loops.", MAX_POLICIES)]
