"""What a LowLevelOrchestration's status says: phase, reason, message, time of the whole and of each item.

Only the operator writes it, through the status subresource. Fields that are None or empty are left out on the
wire.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.orchestration_tasks import MAX_OUTBOX, MAX_TASKS, OutboxEntry, TaskStatus


class ClusterPhase(StrEnum):
    """How far a cluster is."""

    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    INSTALLING_PACKAGES = "InstallingPackages"
    READY = "Ready"
    SCALING = "Scaling"
    UPGRADING = "Upgrading"
    DEGRADED = "Degraded"
    DELETING = "Deleting"
    FAILED = "Failed"


class PackagePhase(StrEnum):
    """How far an add-on of a cluster is."""

    PENDING = "Pending"
    INSTALLING = "Installing"
    READY = "Ready"
    UPGRADING = "Upgrading"
    DEGRADED = "Degraded"
    DELETING = "Deleting"
    FAILED = "Failed"


class LinkPhase(StrEnum):
    """How far a link between two clusters is."""

    PENDING = "Pending"
    PEERING = "Peering"
    CONNECTED = "Connected"
    DEGRADED = "Degraded"
    UNPEERING = "Unpeering"
    FAILED = "Failed"


class AppPhase(StrEnum):
    """How far an application, or one component of it, is."""

    PENDING = "Pending"
    OFFLOADING = "Offloading"
    DEPLOYING = "Deploying"
    RUNNING = "Running"
    UPDATING = "Updating"
    MOVING = "Moving"
    DEGRADED = "Degraded"
    UNDEPLOYING = "Undeploying"
    FAILED = "Failed"


class Phase(StrEnum):
    """How far the whole object is."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    READY = "Ready"
    DEGRADED = "Degraded"
    FAILED = "Failed"
    DELETING = "Deleting"


ItemName = Annotated[str, Meta(max_length=253)]
Reason = Annotated[
    Annotated[str, Meta(max_length=128)] | None, Meta(description="Why, in one CamelCase word for programs.")
]
Message = Annotated[Annotated[str, Meta(max_length=4096)] | None, Meta(description="Why, in one sentence for people.")]
Time = Annotated[
    Annotated[str, Meta(max_length=40, extra={"format": "date-time"})] | None,
    Meta(description="When the phase last changed."),
]
Text = Annotated[str, Meta(max_length=1024)] | None
Count = Annotated[int, Meta(ge=0, extra={"format": "int32"})] | None


class Condition(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One condition, as everywhere in Kubernetes."""

    type: Annotated[str, Meta(max_length=316, description="`Ready`, `Reconciling` or `Stalled`.")]
    status: Annotated[
        Annotated[str, Meta(pattern="^(True|False|Unknown)$", max_length=7)],
        Meta(description="Whether it holds."),
    ]
    observed_generation: Annotated[
        Annotated[int, Meta(ge=0, extra={"format": "int64"})] | None,
        Meta(description="The generation it speaks of."),
    ] = None
    last_transition_time: Annotated[
        Annotated[str, Meta(max_length=40, extra={"format": "date-time"})],
        Meta(description="When `status` last changed."),
    ]
    reason: Annotated[str, Meta(max_length=1024, description="Why, in one CamelCase word.")]
    message: Annotated[str, Meta(max_length=32768, description="Why, in one sentence.")] = ""


class PackageStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far one add-on of a cluster is."""

    name: Annotated[ItemName, Meta(description="The package.")]
    phase: Annotated[PackagePhase, Meta(description="How far it is.")]
    reason: Reason = None
    message: Message = None
    last_transition_time: Time = None


class ClusterStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far one cluster is."""

    name: Annotated[ItemName, Meta(description="The cluster.")]
    phase: Annotated[ClusterPhase, Meta(description="How far it is.")]
    reason: Reason = None
    message: Message = None
    last_transition_time: Time = None
    endpoint: Annotated[Text, Meta(description="URL of the cluster's API server.")] = None
    version: Annotated[Text, Meta(description="The Kubernetes version that it runs.")] = None
    control_plane_ready: Annotated[Count, Meta(description="Control-plane machines that are ready.")] = None
    control_plane_desired: Annotated[Count, Meta(description="Control-plane machines that are wanted.")] = None
    workers_ready: Annotated[Count, Meta(description="Worker machines that are ready.")] = None
    workers_desired: Annotated[Count, Meta(description="Worker machines that are wanted.")] = None
    allocatable: Annotated[
        dict[str, Annotated[str, Meta(max_length=32)]],
        Meta(max_length=16, description="What its nodes can take in all: `cpu`, `memory`, GPUs."),
    ] = {}
    requested: Annotated[
        dict[str, Annotated[str, Meta(max_length=32)]],
        Meta(max_length=16, description="What its pods asked for."),
    ] = {}
    cordoned: Annotated[bool, Meta(description="Whether none of its nodes takes pods.")] = False
    lost_since: Annotated[Text, Meta(description="Since when it has not answered.")] = None
    unlinkable: Annotated[
        Text, Meta(description="Why it can be linked with no other cluster as it is, such as `has no Liqo`.")
    ] = None
    shared_liqo_id: Annotated[
        Text,
        Meta(
            description="What it calls itself in Liqo, where another cluster calls itself the same: no link joins them."
        ),
    ] = None
    packages: Annotated[
        tuple[PackageStatus, ...],
        Meta(max_length=16, description="The add-ons.", extra={"list_type": "map", "keys": ["name"]}),
    ] = ()


class LinkStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far one link is."""

    clusters: Annotated[tuple[ItemName, ItemName], Meta(description="The two ends.", extra={"list_type": "atomic"})]
    phase: Annotated[LinkPhase, Meta(description="How far it is.")]
    reason: Reason = None
    message: Message = None
    last_transition_time: Time = None
    latency: Annotated[Text, Meta(description="The tunnel's last measured round trip, such as `1.9ms`.")] = None
    jitter: Annotated[
        Text,
        Meta(
            description="How much one round trip differs from the next, such as `0.212ms`; once 16 differences were seen."
        ),
    ] = None
    bandwidth_bps: Annotated[
        Annotated[int, Meta(ge=0, extra={"format": "int64"})] | None,
        Meta(description="What one transfer got in a second, in bits, in the worse direction; where somebody asks."),
    ] = None
    bandwidth_measured_at: Annotated[
        Text, Meta(description="When the older of both directions was; half an hour later they count as not measured.")
    ] = None


class Url(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Where a public port is reached."""

    name: Annotated[ItemName, Meta(description="The port's name.")]
    url: Annotated[str, Meta(max_length=2048, description="Its address.")]


class ComponentStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far one component is."""

    name: Annotated[ItemName, Meta(description="The component.")]
    cluster: Annotated[Text, Meta(description="The cluster that runs it.")] = None
    phase: Annotated[AppPhase, Meta(description="How far it is.")]
    reason: Reason = None
    message: Message = None
    last_transition_time: Time = None
    ready: Annotated[Text, Meta(description="Ready pods of wanted pods, such as `1/1`.")] = None
    decide_by: Annotated[Text, Meta(description="Until when an external scheduler may place it.")] = None
    urls: Annotated[
        tuple[Url, ...], Meta(max_length=64, description="Where its public ports are reached.",
                              extra={"list_type": "atomic"}),
    ] = ()  # fmt: skip


class AppStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far one application is."""

    name: Annotated[ItemName, Meta(description="The application.")]
    owner: Annotated[Text, Meta(description="Who it belongs to.")] = None
    phase: Annotated[AppPhase, Meta(description="How far it is.")]
    reason: Reason = None
    message: Message = None
    last_transition_time: Time = None
    namespace: Annotated[Text, Meta(description="Its namespace on every cluster.")] = None
    cluster: Annotated[Text, Meta(description="Its home cluster.")] = None
    components: Annotated[
        tuple[ComponentStatus, ...],
        Meta(max_length=128, description="The components.", extra={"list_type": "map", "keys": ["name"]}),
    ] = ()


class LoopStage(StrEnum):
    """Where a closed loop is in its round, or what holds it up."""

    OBSERVE = "Observe"
    ORIENT = "Orient"
    DECIDE = "Decide"
    ACT = "Act"
    HELD = "Held"
    WAITING = "WaitingForApproval"
    COOLING = "CoolingDown"
    STALLED = "Stalled"


class LoopStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How one closed loop is."""

    name: Annotated[ItemName, Meta(description="The policy.")]
    stage: Annotated[LoopStage, Meta(description="Where it is in its round, or what holds it up.")]
    observation: Annotated[Text, Meta(description="What it saw last, such as `cpu 0.93 of 0.70 on 2 pods`.")] = None
    observed_at: Annotated[Text, Meta(description="When.")] = None
    decision: Annotated[Text, Meta(description="Its last Decision.")] = None
    decided_at: Annotated[Text, Meta(description="When.")] = None
    outcome: Annotated[Text, Meta(description="What became of it.")] = None
    message: Message = None
    next_look: Annotated[Text, Meta(description="When it looks again if nothing changes.")] = None


class Summary(Struct, frozen=True, kw_only=True, rename="camel"):
    """Ready items of all items, such as `2/2`."""

    clusters: Annotated[str, Meta(max_length=16, description="Clusters that are ready.")] = "0/0"
    links: Annotated[str, Meta(max_length=16, description="Links that are connected.")] = "0/0"
    apps: Annotated[str, Meta(max_length=16, description="Applications that run.")] = "0/0"


class Status(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is there; items that are still being removed are listed until they are gone."""

    observed_generation: Annotated[
        Annotated[int, Meta(ge=0, extra={"format": "int64"})] | None,
        Meta(description="The generation of the spec that this status speaks of."),
    ] = None
    phase: Annotated[Phase | None, Meta(description="How far the whole object is.")] = None
    summary: Annotated[Summary | None, Meta(description="Ready items of all items.")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(max_length=16, description="`Ready`, `Reconciling`, `Stalled`.",
             extra={"list_type": "map", "keys": ["type"]}),
    ] = ()  # fmt: skip
    clusters: Annotated[
        tuple[ClusterStatus, ...],
        Meta(max_length=128, description="One entry per cluster.", extra={"list_type": "map", "keys": ["name"]}),
    ] = ()
    links: Annotated[
        tuple[LinkStatus, ...],
        Meta(max_length=256, description="One entry per link.", extra={"list_type": "atomic"}),
    ] = ()
    apps: Annotated[
        tuple[AppStatus, ...],
        Meta(
            max_length=128,
            description="One entry per application.",
            extra={"list_type": "map", "keys": ["name"]},
        ),
    ] = ()
    loops: Annotated[
        tuple[LoopStatus, ...],
        Meta(max_length=64, description="One entry per policy.", extra={"list_type": "map", "keys": ["name"]}),
    ] = ()
    tasks: Annotated[
        tuple[TaskStatus, ...],
        Meta(max_length=MAX_TASKS, description="What is under way, and what failed and is not made good yet.",
             extra={"list_type": "atomic"}),
    ] = ()  # fmt: skip
    task_counter: Annotated[Count, Meta(description="How many tasks there ever were.")] = None
    event_counter: Annotated[Count, Meta(description="How many events there ever were.")] = None
    outbox: Annotated[
        tuple[OutboxEntry, ...],
        Meta(max_length=MAX_OUTBOX, description="The last events; older ones are with whoever keeps events.",
             extra={"list_type": "atomic"}),
    ] = ()  # fmt: skip
