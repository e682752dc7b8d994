"""Keep a figure of a cluster at its target by the number of its workers."""

from __future__ import annotations

from datetime import timedelta

from continuo.orchestrator.loops.model import Amounts, Capacity, ClusterView, LoopInput, LoopOutput
from continuo.orchestrator.loops.policies import room
from continuo.orchestrator.loops.policies.measured import FUZZ, Reading, read, short, up
from continuo.orchestrator.loops.policies.scaling import Bounds, Verdict, judge
from continuo.resources.loop import DecidedAction, Operation
from continuo.resources.orchestration import ClusterSpec, LoopStage
from continuo.resources.orchestration_policies import ScaleCluster

TARGET, TOLERANCE = 0.75, 0.1
"""Of requested divided by allocatable CPU, where a policy names no metric."""


def scale_cluster(given: LoopInput, loop: ScaleCluster) -> LoopOutput:
    """More workers at once, fewer when fewer were enough for `down-after` and what is requested fits on the rest."""
    cluster = given.clusters.get(loop.cluster)
    if cluster is None or cluster.spec is None:
        told = f"there is no cluster {loop.cluster}; correct `scale-cluster.cluster` of policy {given.policy.name}"
        return LoopOutput(LoopStage.STALLED, "", message=told)
    if cluster.spec.existing:
        told = f"cluster {loop.cluster} is adopted: its machines are not ours to add or to remove"
        return LoopOutput(LoopStage.STALLED, "", message=told)
    workers = cluster.spec.worker_machine_count
    demand = _demand(given, cluster)
    reading = _steady(_reading(given, loop, cluster, demand), cluster, demand, workers)
    window = timedelta(seconds=loop.down_after)
    every = given.policy.every if loop.metric is not None else None
    bounds = Bounds(loop.min, max(loop.min, loop.max), loop.step, window, every, "workers")
    return _output(given, cluster.spec, reading, judge(reading, workers, bounds, given.memory, given.now))


def _demand(given: LoopInput, cluster: ClusterView) -> Amounts:
    """What its nodes have to hold: pods that are bound, pods that wait, and components that wait for a place."""
    capacity = cluster.capacity or Capacity()
    return capacity.requested + capacity.pending + room.total(room.waiting_for(given, cluster))


def _reading(given: LoopInput, loop: ScaleCluster, cluster: ClusterView, demand: Amounts) -> Reading:
    workers = cluster.spec.worker_machine_count if cluster.spec is not None else 0
    if not cluster.usable or cluster.lost_since is not None:
        return Reading("", problem=f"cluster {cluster.name} is not ready: what it needs is not known")
    if loop.metric is not None:
        ready = min(cluster.workers_ready, workers)
        return read(loop.metric, given.figure, given.now, given.policy.every, workers, ready, "workers")
    capacity = cluster.capacity
    if capacity is None:
        return Reading("requested CPU is not known", problem=f"the nodes of cluster {cluster.name} are not known yet")
    if not capacity.usable_nodes or not capacity.allocatable.cpu_millis:
        return _without_nodes(demand, workers)
    share = demand.cpu_millis / capacity.allocatable.cpu_millis
    text = f"requested cpu {short(share)} of {TARGET} on {workers} worker{'' if workers == 1 else 's'}"
    numbers: dict[str, object] = {"requestedShare": round(share, 4), "target": TARGET, "nodes": capacity.usable_nodes}
    if abs(share / TARGET - 1) <= TOLERANCE + FUZZ:
        return Reading(text, workers, numbers=numbers)
    nodes = up(share / TARGET * capacity.usable_nodes)
    return Reading(text, max(nodes - _others(cluster, capacity), 0), numbers=numbers)


def _without_nodes(demand: Amounts, workers: int) -> Reading:
    """Nobody knows what one worker takes; if something waits for one, there has to be a first."""
    text = "no node takes pods"
    if demand != Amounts() and not workers:
        return Reading(text, 1)
    return Reading(text, problem="no node takes pods: how many would be needed is not known")


def _others(cluster: ClusterView, capacity: Capacity) -> int:
    """Nodes that take pods and are no workers of ours."""
    return max(capacity.usable_nodes - cluster.workers_ready, 0)


def _steady(reading: Reading, cluster: ClusterView, demand: Amounts, workers: int) -> Reading:
    """Never fewer than hold what is requested, and never fewer while machines are on their way."""
    capacity = cluster.capacity
    if reading.want is None:
        return reading
    least = reading.want
    if capacity is not None and capacity.usable_nodes:
        least = max(least, room.nodes_for(demand, capacity) - _others(cluster, capacity))
    if (cluster.workers_ready != workers or capacity is None) and least < workers:
        least = workers
    return Reading(reading.text, least, reading.problem, reading.numbers)


def _output(given: LoopInput, cluster: ClusterSpec, reading: Reading, verdict: Verdict) -> LoopOutput:
    workers = cluster.worker_machine_count
    explanation = {**reading.numbers, "workers": workers, "wanted": reading.want, "chosen": verdict.count}
    if verdict.count != workers:
        action = DecidedAction(op=Operation.SCALE_CLUSTER, cluster=cluster.name, workers=verdict.count)
        return LoopOutput(
            LoopStage.DECIDE, reading.text, (action,), verdict.reason, verdict.next_look, verdict.message, explanation,
            verdict.memory,
        )  # fmt: skip
    stage = LoopStage.OBSERVE if reading.want is None else LoopStage.ORIENT
    ready = given.clusters[cluster.name].workers_ready
    if stage is LoopStage.ORIENT and ready != workers:
        stage = LoopStage.ACT
    message = verdict.message or (f"{ready} of {workers} workers are ready" if stage is LoopStage.ACT else "")
    return LoopOutput(
        stage, reading.text, next_look=verdict.next_look, message=message, explanation=explanation,
        memory=verdict.memory,
    )  # fmt: skip
