"""What a closed loop is given, and what it answers: the interface between `frame.py` and `policies/`.

The frame (its side: watches, approval, holds, cool-down, bounds, Decisions, status) calls
`policies.look(LoopInput) -> LoopOutput` once for each policy and round. Policies are pure: no clock, no I/O. A policy
says only what it would do; whether that may be done now is the frame's to judge.

`Memory` is what a policy wants to find again at its next look. The frame keeps the last one for each policy in the
process, passes it back untouched, and passes an empty one after a restart; policies see to it that what was lost makes
them act later, never earlier.

`views.py` makes the views of clusters and components out of what a round has observed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from continuo.resources.loop import AdjustmentSpec, DecidedAction, DecisionStage
from continuo.resources.orchestration import AppSpec, ClusterPhase, ClusterSpec, ComponentSpec, LoopStage, Spec
from continuo.resources.orchestration_policies import Policy


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of what can be counted."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    gpus: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.cpu_millis + other.cpu_millis, self.memory_bytes + other.memory_bytes, self.gpus + other.gpus
        )

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.cpu_millis - other.cpu_millis, self.memory_bytes - other.memory_bytes, self.gpus - other.gpus
        )

    def times(self, factor: int) -> Amounts:
        """So many times as much."""
        return Amounts(self.cpu_millis * factor, self.memory_bytes * factor, self.gpus * factor)

    def fits(self, room: Amounts) -> bool:
        """Whether there is room for this; what is not asked for needs none."""
        return all(
            not asked or asked <= free
            for asked, free in (
                (self.cpu_millis, room.cpu_millis),
                (self.memory_bytes, room.memory_bytes),
                (self.gpus, room.gpus),
            )
        )


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one workload cluster can take, of its nodes that are Ready and take pods; and what its pods asked for."""

    allocatable: Amounts = Amounts()
    requested: Amounts = Amounts()
    """By pods that are bound to a node and not finished."""
    pending: Amounts = Amounts()
    """By pods that wait for a node."""
    nodes: int = 0
    """All of them."""
    usable_nodes: int = 0
    """Those that are Ready and schedulable."""
    cordoned: bool = False
    """There are nodes, and none is schedulable."""
    ready: bool = True
    """At least one node is Ready, or there are none to be Ready."""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One cluster of the orchestration as loops see it: declared, on demand, or still there."""

    name: str
    spec: ClusterSpec | None
    """The effective one; none where it is no longer wanted."""
    phase: ClusterPhase
    usable: bool
    """Whether links and applications may count on it."""
    lost_since: datetime | None = None
    """Since when it has not answered (status.clusters[].lostSince); none while it does."""
    capacity: Capacity | None = None
    """What its nodes say; none while they are not known."""
    workers_ready: int = 0
    policy: str | None = None
    """The loop that created it; none where it was declared."""
    unlinkable: str = ""
    """Why it can be linked with no other as it is, after its name."""
    shared_id: str = ""
    """What it and another call themselves in Liqo: these two cannot be linked."""


@dataclass(frozen=True, slots=True)
class ComponentView:
    """One component as loops see it."""

    path: str
    """APPLICATION/COMPONENT."""
    app: AppSpec
    """The effective application; `app.cluster` is its home for now."""
    spec: ComponentSpec
    """The effective one."""
    declared: ComponentSpec
    cluster: str | None
    """Where it is carried out; none while it has no place."""
    home: str | None = None
    """The cluster that it was moved off, and that it returns to."""
    ready: int = 0
    """Pods that are ready."""
    settled: bool = True
    """What is declared runs, and nothing of it is left where it was before."""
    needs: Amounts = Amounts()
    """What one pod asks for."""

    @property
    def replicas(self) -> int:
        return self.spec.replicas

    @property
    def total(self) -> Amounts:
        """What all its pods ask for."""
        return self.needs.times(self.spec.replicas)


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A component that fits nowhere."""

    component: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One pod (or worker), and how much of its request it uses; none where nothing was measured of it."""

    name: str
    value: float | None
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """What a metric said last, or in one sentence why it is not known (`problem`); one of the two."""

    at: datetime
    """When it was measured."""
    samples: tuple[Sample, ...] = ()
    """By pod, with source `Resource`."""
    value: float | None = None
    """Of a query, with source `Prometheus`."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier decision of this loop that was carried out, oldest first in `LoopInput.history`."""

    name: str
    at: datetime
    stage: DecisionStage
    actions: tuple[DecidedAction, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """What a loop would have wanted at some time."""

    at: datetime
    value: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What a policy finds again at its next look; empty after a restart."""

    started: datetime | None = None
    """Its first look: before that nothing is known."""
    wants: tuple[Want, ...] = ()
    since: Mapping[str, datetime] = field(default_factory=dict)
    """Since when something has been so without a break, by a key of the policy's own."""

    def until(self, now: datetime) -> Memory:
        """Without what comes after now: a clock that was set back must hold nothing up until its time comes again."""
        if all(at <= now for at in (self.started or now, *(w.at for w in self.wants), *self.since.values())):
            return self
        started = min(self.started, now) if self.started is not None else None
        wants = tuple(want for want in self.wants if want.at <= now)
        return Memory(started, wants, {key: min(at, now) for key, at in self.since.items()})


@dataclass(frozen=True, slots=True)
class Found:
    """An answer of `LoopInput.place`."""

    places: Mapping[str, str]
    """The cluster that each component could go to, by its path."""
    unplaced: Mapping[str, str]
    """Why the others fit nowhere."""


Homes = Mapping[str, str]
"""By application whose home moves: its home to come, or nothing while nobody knows which."""
STAY: Homes = {}


class Placer(Protocol):
    """Finds room for components. Pure."""

    def __call__(self, paths: Sequence[str], avoid: frozenset[str], homes: Homes = STAY, /) -> Found:
        """For components (paths), with nothing else moved; the clusters of `avoid` are not asked.

        None gets a place that cannot be linked with the home of its application.
        """
        ...


def nowhere(paths: Sequence[str], _avoid: frozenset[str], _homes: Homes = STAY) -> Found:
    """A placer for orchestrations in which nothing can be placed."""
    return Found({}, {path: "no other cluster can be asked" for path in paths})


@dataclass(frozen=True, slots=True)
class LoopInput:
    """What one policy looks at, in one round."""

    policy: Policy
    now: datetime
    declared: Spec
    clusters: Mapping[str, ClusterView]
    components: Mapping[str, ComponentView]
    """By path."""
    adjustment: AdjustmentSpec = field(default_factory=AdjustmentSpec)
    figure: Figure | None = None
    """The metric of this policy; none while none was taken yet."""
    history: tuple[Past, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    memory: Memory = field(default_factory=Memory)
    place: Placer = nowhere


@dataclass(frozen=True, slots=True)
class LoopOutput:
    """What the policy says. Without `actions` nothing is to be done."""

    stage: LoopStage
    """Observe: a figure is missing; Orient: it is known, nothing to decide; Decide: it wants `actions`; Act: what it
    decided is still being carried out; Stalled: it wants what it cannot have, `message` says what."""
    observation: str
    actions: tuple[DecidedAction, ...] = ()
    reason: str = ""
    """Why, in one sentence; the Decision's."""
    next_look: datetime | None = None
    """When it has to be called again if nothing changes; none: with its next figure, or when something changes."""
    message: str = ""
    explanation: Mapping[str, object] = field(default_factory=dict)
    """The figures behind it, as JSON; the Decision's."""
    memory: Memory = field(default_factory=Memory)
