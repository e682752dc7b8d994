"""What policies are given, made of a few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from continuo.orchestrator.loops.model import (
    STAY,
    Amounts,
    Capacity,
    ClusterView,
    ComponentView,
    Figure,
    Found,
    Homes,
    LoopInput,
    LoopOutput,
    Memory,
    Past,
    Placer,
    Sample,
    Unplaced,
    nowhere,
)
from continuo.orchestrator.loops.policies import look
from continuo.resources.loop import AdjustmentSpec, DecidedAction, DecisionStage, Operation
from continuo.resources.orchestration import AppSpec, ClusterPhase, ClusterSpec, ComponentSpec, Spec
from continuo.resources.orchestration_policies import Policy

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
GIB = 1 << 30


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def policy(text: str, **fields: Any) -> Policy:
    """A policy as YAML says it: kind and fields."""
    return msgspec.convert({"name": "loop", text: fields.pop(text, {}), **fields}, Policy)


def cluster_spec(name: str, **fields: Any) -> ClusterSpec:
    return msgspec.convert({"name": name, **fields}, ClusterSpec)


def capacity(
    cpu: float, used: float = 0, *, memory: float = 64, pending: float = 0, nodes: int = 1, **more: Any
) -> Capacity:
    """CPUs, and GiB of memory, of which each CPU that is asked for takes one."""
    return Capacity(
        Amounts(int(cpu * 1000), int(memory * GIB)), Amounts(int(used * 1000), int(used * GIB)), nodes=nodes,
        pending=Amounts(int(pending * 1000), int(pending * GIB)), **{"usable_nodes": nodes, **more},
    )  # fmt: skip


def cluster(name: str, room: Capacity | None = None, **fields: Any) -> ClusterView:
    """A cluster that is well, unless `fields` of the view or of its spec say otherwise."""
    view = {
        key: fields.pop(key)
        for key in ("phase", "usable", "lost_since", "workers_ready", "policy", "unlinkable", "shared_id")
        if key in fields
    }
    spec = cluster_spec(name, **fields)
    view.setdefault("workers_ready", spec.worker_machine_count)
    return ClusterView(
        name,
        spec,
        view.pop("phase", ClusterPhase.READY),
        view.pop("usable", True),
        capacity=room or capacity(4),
        **view,
    )


def component(
    path: str, where: str | None = None, *, cpu: float = 1, home: str | None = None, app: Any = None, **fields: Any
) -> ComponentView:
    """A component of one pod that asks for one CPU; the scheduler places it, unless it has a `cluster-selector`."""
    app_name, name = path.split("/")
    view = {key: fields.pop(key) for key in ("ready", "settled") if key in fields}
    if "cluster-selector" not in fields:
        fields.setdefault("placement", {})
    asks = {"requests": {"cpu": f"{int(cpu * 1000)}m", "memory": f"{int(cpu * 1024)}Mi"}}
    spec = msgspec.convert(
        {"name": name, "image": "registry.example.org/x:1", "resources": asks, **fields}, ComponentSpec
    )
    declared = AppSpec(name=app_name, owner="ann", cluster=app or "west", components=(spec,))
    view.setdefault("ready", spec.replicas)
    return ComponentView(
        path, declared, spec, spec, where, home, needs=Amounts(int(cpu * 1000), int(cpu * GIB)), **view
    )


class Bench:
    """One policy looking again and again; what it remembers is passed on, what it decides is history."""

    def __init__(
        self, rule: Policy, clusters: Iterable[ClusterView] = (), components: Iterable[ComponentView] = (),
        place: Placer = nowhere, declared: Spec | None = None,
    ) -> None:  # fmt: skip
        self.rule, self.place = rule, place
        self.clusters = {c.name: c for c in clusters}
        self.components = {c.path: c for c in components}
        self.declared = declared or Spec(clusters=(), links=(), apps=(), policies=(rule,))
        self.adjustment = AdjustmentSpec()
        self.unplaced: tuple[Unplaced, ...] = ()
        self.history: tuple[Past, ...] = ()
        self.memory = Memory()
        self.figure: Figure | None = None

    def look(self, seconds: float) -> LoopOutput:
        output = look(self.given(seconds))
        self.memory = output.memory
        return output

    def given(self, seconds: float) -> LoopInput:
        return LoopInput(
            self.rule, at(seconds), self.declared, self.clusters, self.components, self.adjustment, self.figure,
            self.history, self.unplaced, self.memory, self.place,
        )  # fmt: skip

    def put(self, *views: ClusterView | ComponentView) -> None:
        for view in views:
            if isinstance(view, ClusterView):
                self.clusters[view.name] = view
            else:
                self.components[view.path] = view

    def done(self, seconds: float, output: LoopOutput) -> None:
        """It was carried out."""
        past = Past(f"d{len(self.history)}", at(seconds), DecisionStage.VERIFIED, output.actions)
        self.history = (*self.history, past)

    def nothing_fits(self, *paths: str) -> None:
        self.unplaced = tuple(Unplaced(path, "cpu 2000m of 1000m on west") for path in paths)


def used(*values: float | None, seconds: float = 0, not_ready: int = 0) -> Figure:
    """A figure of pods; the last `not_ready` are not ready."""
    ready = len(values) - not_ready
    return Figure(at(seconds), tuple(Sample(f"p{n}", value, n < ready) for n, value in enumerate(values)))


def told(value: float, seconds: float = 0) -> Figure:
    """A figure of a query."""
    return Figure(at(seconds), value=value)


def to(places: Mapping[str, str]) -> Placer:
    """A placer with fixed answers; clusters that it is to avoid are none of them."""

    def place(paths: Any, avoid: frozenset[str], homes: Homes = STAY) -> Found:
        found = {path: places[path] for path in paths if path in places and places[path] not in avoid}
        return Found(found, {path: "no room" for path in paths if path not in found})

    return place


def moves(output: LoopOutput) -> list[tuple[str | None, str | None, str | None, str | None]]:
    """What moves, from where, to where, and what it returns to."""
    return [
        (action.component or action.app, action.other, action.cluster, action.home)
        for action in output.actions
        if action.op in (Operation.MIGRATE_COMPONENT, Operation.MOVE_HOME)
    ]


def one(output: LoopOutput) -> DecidedAction:
    """The only action."""
    (action,) = output.actions
    return action
