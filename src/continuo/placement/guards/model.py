"""What guards look at, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from continuo.placement.model import Problem, Room
from continuo.placement.reasons import Cause
from continuo.resources.loop import AdjustmentSpec, DecidedAction
from continuo.resources.orchestration import AppSpec, ClusterSpec, ClusterStatus, ComponentSpec, Spec, Status
from continuo.resources.orchestration_policies import Policy

Pair = tuple[str, str]


class Code(StrEnum):
    """Why an action is refused; the same cause always has the same code."""

    # what it says
    OP_UNKNOWN = "op-unknown"
    OP_NOT_OFFERED = "op-not-offered"
    FIELD_MISSING = "field-missing"
    FIELD_UNEXPECTED = "field-unexpected"
    DUPLICATE = "duplicate"
    CONTRADICTION = "contradiction"
    UNCHANGED = "unchanged"
    # what it is about
    COMPONENT_UNKNOWN = "component-unknown"
    CLUSTER_UNKNOWN = "cluster-unknown"
    STALE = "stale"
    BEING_DECIDED = "being-decided"
    DELETING = "deleting"
    # who wins over it
    PAUSED = "paused"
    HELD = "held"
    PINNED = "pinned"
    PLACE_DECLARED = "place-declared"
    PLACED = "component-placed"
    UNPLACED = "component-unplaced"
    # where a component cannot go
    CLUSTER_LOST = "cluster-lost"
    CLUSTER_FAILED = "cluster-failed"
    CLUSTER_CORDONED = "cluster-cordoned"
    CLUSTER_DELETING = "cluster-deleting"
    CLUSTER_SIMULATED = "cluster-simulated"
    CLUSTER_NOT_READY = "cluster-not-ready"
    NO_CPU = "no-room-cpu"
    NO_MEMORY = "no-room-memory"
    NO_GPU = "no-room-gpu"
    HINT = "hint"
    LABELS = "labels"
    LOCATION = "location"
    UNLINKABLE = "unlinkable"
    BESIDE = "beside"
    APART = "apart"
    SPREAD = "spread"
    LATENCY = "latency"
    JITTER = "jitter"
    BANDWIDTH = "bandwidth"
    NOT_MEASURED = "not-measured"
    COST_BUDGET = "cost-budget"
    CARBON_BUDGET = "carbon-budget"
    INFEASIBLE = "infeasible"
    # how many
    NEGATIVE = "negative"
    OUT_OF_BOUNDS = "out-of-bounds"
    BEYOND_QUOTA = "beyond-quota"
    TOO_SMALL = "too-small"
    # clusters
    CLUSTER_ADOPTED = "cluster-adopted"
    CLUSTER_FIXED = "cluster-fixed-size"
    CLUSTER_DECLARED = "cluster-declared"
    CLUSTER_IN_USE = "cluster-in-use"
    NAME_TAKEN = "name-taken"
    NAME_INVALID = "name-invalid"
    TEMPLATE_MISSING = "template-missing"
    TEMPLATE_INVALID = "template-invalid"
    TEMPLATE_FORBIDDEN = "template-forbidden"
    VERSION_INVALID = "version-invalid"
    TOO_MANY_CLUSTERS = "too-many-clusters"
    # links
    LINK_TO_ITSELF = "link-to-itself"
    LINK_EXISTS = "link-exists"
    LINK_UNKNOWN = "link-unknown"
    LINK_IN_USE = "link-in-use"
    TOO_MANY_LINKS = "too-many-links"
    # how much in a while
    BLAST_RADIUS = "blast-radius"
    DELETIONS = "too-many-deletions"
    CREATIONS = "too-many-creations"


OF_CAUSE: Mapping[Cause, Code] = {
    Cause.PINNED: Code.PINNED, Cause.HINT: Code.HINT, Cause.LABELS: Code.LABELS, Cause.LOCATION: Code.LOCATION,
    Cause.CPU: Code.NO_CPU, Cause.MEMORY: Code.NO_MEMORY, Cause.GPU: Code.NO_GPU, Cause.BESIDE: Code.BESIDE,
    Cause.APART: Code.APART, Cause.SPREAD: Code.SPREAD, Cause.LATENCY: Code.LATENCY, Cause.JITTER: Code.JITTER,
    Cause.BANDWIDTH: Code.BANDWIDTH, Cause.NOT_MEASURED: Code.NOT_MEASURED, Cause.COST: Code.COST_BUDGET,
    Cause.CARBON: Code.CARBON_BUDGET, Cause.LINK: Code.UNLINKABLE, Cause.UNAVAILABLE: Code.CLUSTER_NOT_READY,
}  # fmt: skip
"""What placement's reasons are called here."""

_CONFLICTS = frozenset((Code.STALE, Code.BEING_DECIDED, Code.PAUSED, Code.DELETING))
_LIMITS = frozenset((Code.BLAST_RADIUS, Code.DELETIONS, Code.CREATIONS))


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an action is refused: a code for programs, a sentence for people."""

    code: Code
    message: str

    @property
    def status(self) -> int:
        """As HTTP says it: 409 look again, 429 later, 422 never like this."""
        return 409 if self.code in _CONFLICTS else 429 if self.code in _LIMITS else 422


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a scheduler may do in one decision and in an hour."""

    actions: int = 64
    """In one decision."""
    longest_ttl: int = 3600
    """Seconds."""
    decisions_per_minute: int = 60
    """Of one caller."""
    moved_share: float = 0.25
    """Of an orchestration's components, in an hour."""
    moves_at_least: int = 4
    """So many may move in any case, however few there are."""
    deleted_per_hour: int = 1
    created_per_hour: int = 4
    on_demand: int = 16
    """Clusters at a time that were not declared."""
    links: int = 128
    workers: int = 50
    """Of one cluster, where no policy says more or less."""


@dataclass(frozen=True, slots=True)
class History:
    """What was decided in the last hour from outside, whether carried out yet or not."""

    moved: frozenset[str] = frozenset()
    """Components that ran and were moved elsewhere."""
    created: frozenset[str] = frozenset()
    """Clusters."""
    deleted: frozenset[str] = frozenset()


class Basis(Protocol):
    """The state that a decision was made on."""

    def changed(self, collection: str, identity: str, fields: Iterable[str]) -> str | None:
        """The first of an item's fields that changed since, or None."""
        ...


@dataclass(frozen=True)
class State:
    """One orchestration as it is now, with what was decided and is not carried out yet."""

    namespace: str
    name: str
    declared: Spec
    carried: Spec
    """The declaration with its Adjustment laid over it."""
    adjustment: AdjustmentSpec
    status: Status
    problem: Problem
    """All its components (ids `namespace/name/application/component`) and clusters."""
    pods: Mapping[str, Room] = field(default_factory=dict)
    """What one pod asks for, by APPLICATION/COMPONENT."""
    deleting: bool = False
    opened: tuple[DecidedAction, ...] = ()
    """Actions of open decisions of at least the same priority."""

    def part(self, component: str) -> str:
        """The id of a component in the problem."""
        return f"{self.namespace}/{self.name}/{component}"

    @cached_property
    def places(self) -> dict[str, str]:
        """Where components are to run: site by part."""
        return {part.id: part.current for part in self.problem.parts if part.current is not None}

    @cached_property
    def components(self) -> dict[str, tuple[AppSpec, ComponentSpec]]:
        """As they are carried out, by APPLICATION/COMPONENT."""
        return _components(self.carried)

    @cached_property
    def written(self) -> dict[str, tuple[AppSpec, ComponentSpec]]:
        """As they were declared."""
        return _components(self.declared)

    @cached_property
    def clusters(self) -> dict[str, ClusterSpec]:
        """Declared, and on demand."""
        return {spec.name: spec for spec in self.carried.clusters}

    @cached_property
    def owned(self) -> frozenset[str]:
        """Clusters that were declared: their writer's."""
        return frozenset(spec.name for spec in self.declared.clusters)

    @cached_property
    def told(self) -> dict[str, ClusterStatus]:
        """What was seen of clusters."""
        return {status.name: status for status in self.status.clusters}

    @cached_property
    def links(self) -> frozenset[Pair]:
        """Those that are asked for, or still there."""
        there = [link.clusters for link in self.status.links]
        return frozenset(pair(*ends) for ends in (*self.carried.links, *there))

    def policies(self, component: str | None = None, cluster: str | None = None) -> list[Policy]:
        """The loops about a component, or about a cluster's size."""
        return [
            policy
            for policy in self.declared.policies
            if (policy.scale_component is not None and policy.scale_component.component == component)
            or (policy.scale_cluster is not None and policy.scale_cluster.cluster == cluster)
        ]

    def on(self, cluster: str) -> list[str]:
        """The components that are to run on a cluster."""
        prefix = self.part("")
        return sorted(part.removeprefix(prefix) for part, site in self.places.items() if site == cluster)


def pair(one: str, other: str) -> Pair:
    """A link's identity: its two ends in alphabetical order."""
    return (one, other) if one <= other else (other, one)


def _components(spec: Spec) -> dict[str, tuple[AppSpec, ComponentSpec]]:
    return {f"{app.name}/{one.name}": (app, one) for app in spec.apps for one in app.components}


@dataclass(slots=True)
class Judged:
    """A decision under judgement: its actions, and what is refused so far."""

    state: State
    limits: Limits
    history: History
    actions: tuple[DecidedAction | Rejection, ...]
    basis: Basis | None = None
    refused: dict[int, Rejection] = field(default_factory=dict)

    def open(self) -> list[tuple[int, DecidedAction]]:
        """The actions that nothing was said against."""
        return [
            (number, action)
            for number, action in enumerate(self.actions)
            if isinstance(action, DecidedAction) and number not in self.refused
        ]
