"""The shapes of the scheduler's interface, for its documentation. Nothing below the routes knows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Version = Annotated[str, Field(description="A version of the state: an epoch of the server and a counter.")]


class Item(BaseModel):
    """What every item of the state has."""

    id: str
    version: Annotated[str, Field(description="The version of the state in which it last changed.")]
    changedAt: Annotated[str, Field(description="When this server saw that change.")]


class Room(BaseModel):
    """Amounts of what can be counted."""

    cpuMillis: int
    memoryBytes: int
    gpus: int


class Datacenter(Item):
    """A data centre that clusters name."""

    name: str
    location: dict[str, Any] | None
    providers: list[str]
    clusters: list[str]


class Nodes(BaseModel):
    """Machines of a cluster that was made."""

    controlPlaneReady: int
    controlPlaneDesired: int
    workersReady: int
    workersDesired: int


class Cluster(Item):
    """A workload cluster: declared, or created on demand."""

    orchestration: str
    name: str
    provider: str
    simulated: Annotated[bool, Field(description="It has machines in name only: nothing runs there.")]
    onDemand: Annotated[str | None, Field(description="The loop that created it; null where it was declared.")]
    kubernetesVersion: str | None
    datacenter: str | None
    tier: str | None
    location: dict[str, Any] | None
    labels: dict[str, str]
    cost: Annotated[dict[str, float] | None, Field(description="Per hour of a CPU, a GiB, a GPU; grams of CO2.")]
    phase: str
    reason: str | None
    workers: Annotated[int, Field(description="Workers that are wanted.")]
    nodes: Nodes | None
    allocatable: Annotated[Room | None, Field(description="What its nodes can take in all; null while not known.")]
    requested: Annotated[Room | None, Field(description="What its pods asked for.")]
    packages: list[dict[str, str]]
    cordoned: bool
    lostSince: Annotated[str | None, Field(description="Since when it does not answer: what is told of it is as old.")]
    unlinkable: Annotated[
        str | None,
        Field(description="Why it can be linked with no other: no component goes there whose home is elsewhere."),
    ]
    sharedLiqoId: Annotated[
        str | None, Field(description="What it and another call themselves in Liqo: these two cannot be linked.")
    ]


class Link(Item):
    """A link between two clusters."""

    orchestration: str
    clusters: list[str]
    declared: bool
    phase: str
    reason: str | None
    measured: bool
    latencyMs: float | None
    jitterMs: float | None
    throughputBps: float | None
    throughputMeasuredAt: str | None


class Workload(Item):
    """A component: what it asks for, and where it is."""

    orchestration: str
    app: str
    component: str
    owner: str
    appHome: Annotated[str, Field(description="The home cluster of its application.")]
    cluster: Annotated[str | None, Field(description="Where it is to run; null while nobody has placed it.")]
    home: Annotated[str | None, Field(description="Where it was moved off, and returns to.")]
    replicas: int
    requests: Annotated[Room | None, Field(description="Of one pod; null where it asks for nothing.")]
    hint: str | None
    placement: dict[str, Any] | None
    pinned: Annotated[str | None, Field(description="The cluster that its writer named: nobody moves it.")]
    heldBy: Annotated[list[str], Field(description="Policies on hold that forbid to scale it.")]
    linkRequirements: list[dict[str, Any]]
    phase: str
    reason: str | None
    ready: str | None


class Waiting(Item):
    """A component that has no place yet."""

    orchestration: str
    app: str
    component: str
    owner: str
    scheduler: Literal["builtin", "external"]
    since: str | None
    decideBy: Annotated[str | None, Field(description="When the built-in scheduler decides instead.")]
    reason: str | None
    message: str | None


class State(BaseModel):
    """Everything, at one version."""

    stateVersion: Version
    takenAt: str
    datacenters: list[Datacenter]
    clusters: list[Cluster]
    links: list[Link]
    workloads: list[Workload]
    pending: list[Waiting]


class Refusal(BaseModel):
    """Why a cluster cannot take a component."""

    cause: str
    message: str


class Candidate(BaseModel):
    """A cluster: how well a component would be there, or why it cannot be."""

    cluster: str
    score: Annotated[
        float | None, Field(description="What it adds there, lower being better; null where it cannot be.")
    ]
    objectives: Annotated[dict[str, float] | None, Field(description="The score by objective.")]
    refusals: list[Refusal]


class PendingComponent(BaseModel):
    """A component that has no place yet, with every cluster, the best first."""

    id: str
    orchestration: str
    app: str
    component: str
    owner: str
    scheduler: Literal["builtin", "external"]
    since: str | None
    decideBy: str | None
    message: str | None
    candidates: list[Candidate]


class Pending(BaseModel):
    """What waits, at one version."""

    stateVersion: Version
    total: Annotated[int, Field(description="How many wait; the most urgent are told.")]
    components: list[PendingComponent]


class Action(BaseModel):
    """One thing to do; which fields belong to it says `op`."""

    model_config = ConfigDict(extra="forbid")

    op: Annotated[str, Field(description="createCluster, scaleCluster, deleteCluster, linkClusters, unlinkClusters, "
                                         "placeComponent, migrateComponent or scaleComponent.")]  # fmt: skip
    component: Annotated[str | None, Field(description="APPLICATION/COMPONENT.")] = None
    cluster: Annotated[str | None, Field(description="The cluster; where a component goes to.")] = None
    other: Annotated[str | None, Field(description="The other end of a link.")] = None
    replicas: int | None = None
    workers: int | None = None
    template: Annotated[dict[str, Any] | None, Field(description="The cluster to create, as in `spec.clusters`.")] = (
        None
    )


class DecisionBody(BaseModel):
    """A decision: what to do, on which state it was made, and why."""

    model_config = ConfigDict(extra="forbid")

    decisionId: Annotated[str, Field(description="The caller's own: the same one again gives the same answer.")]
    orchestration: Annotated[str | None, Field(description="NAME or NAMESPACE/NAME; may be left out where there is one.")] = (
        None
    )  # fmt: skip
    basedOn: Version
    ttlSeconds: Annotated[int, Field(description="Seconds after which it is void if it was not carried out.")] = 300
    priority: Annotated[int, Field(description="Beats open decisions of a lower one about the same thing.")] = 0
    reason: str
    confidence: float | None = None
    allOrNothing: bool = False
    dryRun: bool = False
    actions: list[Action]


class Verdict(BaseModel):
    """What became of one action."""

    op: str
    result: Literal["accepted", "rejected"]
    code: str | None = None
    message: str | None = None


class Judged(BaseModel):
    """What became of a decision."""

    decisionId: str
    decision: Annotated[str | None, Field(description="The Decision object; null for a dry run.")]
    orchestration: str
    stateVersion: Version
    approval: Annotated[bool, Field(description="Whether a person has to approve it first.")]
    expires: str
    actions: list[Verdict]


class DecisionState(BaseModel):
    """How far a decision is."""

    decisionId: str
    decision: str
    orchestration: str
    source: str
    stage: str
    message: str
    decidedAt: str | None
    finishedAt: str | None
    effect: dict[str, str]
    actions: list[Verdict]
