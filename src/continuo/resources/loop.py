"""What closed loops decided: Adjustment and Decision.

An orchestration says what its writer wants, and nobody else writes it. What loops and schedulers add to it is in an
Adjustment beside it, of the same name: replicas, places, workers, clusters on demand, applications rolled back. What is
carried out is the declaration with the Adjustment laid over it. Deleting the Adjustment returns to the declaration.

A Decision says why: one object for each, never changed but for `verdict`; its status says how far it is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from continuo.resources.decoding import decode_at
from continuo.resources.definitions import Column, definition
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration_clusters import ClusterSpec
from continuo.resources.orchestration_policies import MAX_ON_DEMAND, ComponentPath
from continuo.resources.orchestration_types import (
    MAX_APPS,
    MAX_CLUSTERS,
    AppName,
    ClusterRef,
    ObjectName,
    Word,
    doc,
    many,
)
from continuo.resources.schema import struct_schema

GROUP, VERSION = "continuo.dev", "v1alpha1"
ADJUSTMENT = Kind(GROUP, VERSION, "Adjustment", "adjustments", short_names=("adj",))
DECISION = Kind(GROUP, VERSION, "Decision", "decisions", short_names=("dcs",))

MAX_ADJUSTED, MAX_ACTIONS = 2048, 256
LARGEST_REPLAY = 400_000
"""Characters: what a decision may keep of its input."""

Time = Annotated[str, Meta(max_length=40, extra={"format": "date-time"})]
DecisionName = Annotated[str, Meta(min_length=1, max_length=253)]


class PlaceAdjustment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Where a component is."""

    component: Annotated[ComponentPath, doc("The component: APPLICATION/COMPONENT.")]
    cluster: Annotated[ClusterRef, doc("The cluster that runs it.")]
    home: Annotated[
        ClusterRef | None,
        doc("The cluster that it was moved off, and that it returns to; none where this is its place."),
    ] = None
    decision: Annotated[DecisionName, doc("The Decision that said so.")]
    since: Annotated[Time, doc("When.")]
    policy: Annotated[AppName | None, doc("The loop that said so; absent where it was somebody else.")] = None


class ReplicasAdjustment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How many pods a component has."""

    component: Annotated[ComponentPath, doc("The component: APPLICATION/COMPONENT.")]
    replicas: Annotated[int, Meta(ge=0, le=100), doc("How many.", format="int32")]
    declared: Annotated[
        Annotated[int, Meta(ge=0, le=100)] | None,
        doc("What the declaration said then: once it says something else, that counts.", format="int32"),
    ] = None
    decision: Annotated[DecisionName, doc("The Decision that said so.")]
    since: Annotated[Time, doc("When.")]
    policy: Annotated[AppName | None, doc("The loop that said so; absent where it was somebody else.")] = None


class WorkersAdjustment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How many workers a cluster has."""

    cluster: Annotated[ClusterRef, doc("The cluster.")]
    workers: Annotated[int, Meta(ge=0, le=1000), doc("How many.", format="int32")]
    declared: Annotated[
        Annotated[int, Meta(ge=0, le=1000)] | None,
        doc("What the declaration said then: once it says something else, that counts.", format="int32"),
    ] = None
    decision: Annotated[DecisionName, doc("The Decision that said so.")]
    since: Annotated[Time, doc("When.")]
    policy: Annotated[AppName | None, doc("The loop that said so; absent where it was somebody else.")] = None


class HomeAdjustment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which cluster is an application's home, where the declared one failed."""

    app: Annotated[AppName, doc("The application.")]
    cluster: Annotated[ClusterRef, doc("Its home for now.")]
    home: Annotated[ClusterRef, doc("The declared one, which it returns to.")]
    decision: Annotated[DecisionName, doc("The Decision that said so.")]
    since: Annotated[Time, doc("When.")]
    policy: Annotated[AppName | None, doc("The loop that said so; absent where it was somebody else.")] = None


class ClusterAdjustment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A cluster that a loop created."""

    cluster: Annotated[ClusterSpec, doc("The cluster, as if it were declared.")]
    policy: Annotated[AppName, doc("The loop that it is of.")]
    decision: Annotated[DecisionName, doc("The Decision that said so.")]
    since: Annotated[Time, doc("When.")]


class LinkAdjustment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A link that a scheduler asked for, or one of the declared that it asked to be without."""

    clusters: Annotated[tuple[ClusterRef, ClusterRef], doc("The two ends.", list_type="atomic")]
    removed: Annotated[bool, doc("Whether the link is to go, although it is declared.")] = False
    decision: Annotated[DecisionName, doc("The Decision that said so.")]
    since: Annotated[Time, doc("When.")]


class RollbackAdjustment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An application (or one component of it) that runs as it last ran well, because what was declared failed."""

    app: Annotated[AppName, doc("The application.")]
    component: Annotated[Word | None, doc("The one component; all where absent.")] = None
    revision: Annotated[ObjectName, doc("The ControllerRevision that holds how it was.")]
    failed: Annotated[str, Meta(max_length=64), doc("A digest of what failed: a different declaration is tried again.")]
    decision: Annotated[DecisionName, doc("The Decision that said so.")]
    since: Annotated[Time, doc("When.")]


class AdjustmentSpec(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is laid over the declaration."""

    places: Annotated[
        tuple[PlaceAdjustment, ...],
        many("Where components are.", MAX_ADJUSTED, list_type="map", keys=["component"]),
    ] = ()
    replicas: Annotated[
        tuple[ReplicasAdjustment, ...],
        many("How many pods components have.", MAX_ADJUSTED, list_type="map", keys=["component"]),
    ] = ()
    workers: Annotated[
        tuple[WorkersAdjustment, ...],
        many("How many workers clusters have.", MAX_CLUSTERS, list_type="map", keys=["cluster"]),
    ] = ()
    homes: Annotated[
        tuple[HomeAdjustment, ...], many("Homes of applications.", MAX_APPS, list_type="map", keys=["app"])
    ] = ()
    clusters: Annotated[tuple[ClusterAdjustment, ...], many("Clusters on demand.", MAX_ON_DEMAND * 4)] = ()
    links: Annotated[tuple[LinkAdjustment, ...], many("Links besides those declared.", 128)] = ()
    rollbacks: Annotated[tuple[RollbackAdjustment, ...], many("What was rolled back.", MAX_ADJUSTED)] = ()


class Verdict(StrEnum):
    """What somebody said of a decision."""

    APPROVED = "Approved"
    DENIED = "Denied"


class DecisionStage(StrEnum):
    """How far a decision is."""

    RECEIVED = "Received"
    WAITING = "WaitingForApproval"
    APPLIED = "Applied"
    VERIFIED = "Verified"
    SUPERSEDED = "Superseded"
    REFUSED = "Refused"
    EXPIRED = "Expired"


class Operation(StrEnum):
    """What an action of a decision does."""

    PLACE_COMPONENT = "placeComponent"
    MIGRATE_COMPONENT = "migrateComponent"
    SCALE_COMPONENT = "scaleComponent"
    CREATE_CLUSTER = "createCluster"
    SCALE_CLUSTER = "scaleCluster"
    DELETE_CLUSTER = "deleteCluster"
    LINK_CLUSTERS = "linkClusters"
    UNLINK_CLUSTERS = "unlinkClusters"
    MOVE_HOME = "moveHome"
    ROLL_BACK = "rollBack"


class DecidedAction(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that a decision does; which fields count says `op`."""

    op: Annotated[Operation, doc("What is done.")]
    component: Annotated[ComponentPath | None, doc("The component: APPLICATION/COMPONENT.")] = None
    app: Annotated[AppName | None, doc("The application.")] = None
    cluster: Annotated[ClusterRef | None, doc("The cluster; where a component goes to.")] = None
    other: Annotated[ClusterRef | None, doc("The other end of a link; where a component comes from.")] = None
    home: Annotated[
        ClusterRef | None,
        doc("What a component or application that fails over returns to; absent where it stays for good."),
    ] = None
    replicas: Annotated[Annotated[int, Meta(ge=0, le=100)] | None, doc("How many pods.", format="int32")] = None
    workers: Annotated[Annotated[int, Meta(ge=0, le=1000)] | None, doc("How many workers.", format="int32")] = None
    template: Annotated[ClusterSpec | None, doc("The cluster to create.")] = None
    revision: Annotated[ObjectName | None, doc("What is returned to.")] = None


class DecisionSpec(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What was decided, by whom, and on what."""

    orchestration: Annotated[ObjectName, doc("The LowLevelOrchestration of the same namespace.")]
    source: Annotated[
        Word, doc("`placement`, `policy/NAME`, `rollback`, `declaration`, or `external/NAME` of the caller.")
    ]
    based_on: Annotated[Word | None, doc("The version of the state that it was made on.")] = None
    reason: Annotated[str, Meta(max_length=1024), doc("Why, in one sentence.")]
    confidence: Annotated[Annotated[float, Meta(ge=0, le=1)] | None, doc("How sure its maker was.")] = None
    expires: Annotated[Time | None, doc("When it is void if it was not carried out.")] = None
    approval: Annotated[bool, doc("Whether somebody has to approve it.")] = False
    actions: Annotated[tuple[DecidedAction, ...], many("What is done.", MAX_ACTIONS, 1)]
    explanation: Annotated[
        dict[str, Any],
        doc("What was weighed: for placement, by component the candidates with what ruled them out, and their scores."),
    ] = {}  # fmt: skip
    replay: Annotated[
        Annotated[str, Meta(max_length=LARGEST_REPLAY)] | None,
        doc(
            "The whole input (JSON, gzip, base64): the same answer can be computed again. Absent where it is too large."
        ),
    ] = None
    verdict: Annotated[Verdict | None, doc("Written by whoever approves or denies.")] = None


class DecisionStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far a decision is."""

    stage: Annotated[DecisionStage | None, doc("How far it is.")] = None
    message: Annotated[str, Meta(max_length=1024), doc("Why, in one sentence.")] = ""
    decided_at: Annotated[Time | None, doc("When it was made.")] = None
    finished_at: Annotated[Time | None, doc("When nothing of it was left to do.")] = None
    effect: Annotated[dict[str, Annotated[str, Meta(max_length=256)]], many("What was measured afterwards.", 32)] = {}


def decode_adjustment(obj: Object | None) -> AdjustmentSpec:
    """Its spec; an empty one where there is none. Raises Invalid with a sentence."""
    return AdjustmentSpec() if obj is None else decode_at(obj, "spec", AdjustmentSpec)


def decode_decision(obj: Object) -> DecisionSpec:
    """Its spec; raises Invalid with a sentence."""
    return decode_at(obj, "spec", DecisionSpec)


_ADJUSTMENT_COLUMNS: tuple[Column, ...] = (
    ("MOVED", "string", ".spec.places[*].component", 0),
    ("SCALED", "string", ".spec.replicas[*].component", 0),
    ("CLUSTERS", "string", ".spec.clusters[*].cluster.name", 0),
    ("AGE", "date", ".metadata.creationTimestamp", 0),
)
_DECISION_COLUMNS: tuple[Column, ...] = (
    ("ORCHESTRATION", "string", ".spec.orchestration", 0),
    ("SOURCE", "string", ".spec.source", 0),
    ("STAGE", "string", ".status.stage", 0),
    ("REASON", "string", ".spec.reason", 0),
    ("MESSAGE", "string", ".status.message", 1),
    ("AGE", "date", ".metadata.creationTimestamp", 0),
)
_ONLY_VERDICT = {
    "rule": "self.spec.actions == oldSelf.spec.actions && self.spec.orchestration == oldSelf.spec.orchestration && "
    "self.spec.source == oldSelf.spec.source",
    "message": "cannot change: a decision is approved or denied by spec.verdict, and otherwise stays as it was made",
    "fieldPath": ".spec.actions",
}


def loop_crds() -> list[Object]:
    """The definitions of both kinds; what they hold is validated where it is carried out, so clusters have no rules."""
    empty = {"type": "object", "description": "Nothing; the orchestration's status tells.", "properties": {}}
    about = "What closed loops and schedulers lay over the LowLevelOrchestration of the same name."
    return [
        definition(ADJUSTMENT, about, struct_schema(AdjustmentSpec, {}), empty, _ADJUSTMENT_COLUMNS),
        definition(
            DECISION, "What a closed loop or a scheduler decided, and why.", struct_schema(DecisionSpec, {}),
            struct_schema(DecisionStatus, {}), _DECISION_COLUMNS, rules=(_ONLY_VERDICT,),
        ),
    ]  # fmt: skip
