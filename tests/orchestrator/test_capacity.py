"""The sums of nodes and pods: kept with every change they are what counting everything anew finds."""

from __future__ import annotations

import random
from typing import Any

import pytest

from continuo.orchestrator.capacity import (
    Tally,
    amounts,
    counts,
    near,
    node_summary,
    pod_summary,
    spelled,
    tally,
    waits,
)
from continuo.orchestrator.loops.model import Amounts
from continuo.resources import kinds
from continuo.resources.meta import Object

GIB = 2**30
OURS = {
    "app.kubernetes.io/managed-by": "continuo", "continuo.dev/orchestration": "o",
    "continuo.dev/orchestration-namespace": "default", "continuo.dev/application": "shop",
    "continuo.dev/component": "web",
}  # fmt: skip


def node(name: str, cpu: str = "4", *, ready: bool = True, cordoned: bool = False, taint: str = "") -> Object:
    spec: Object = {"unschedulable": cordoned} if cordoned else {}
    if taint:
        spec["taints"] = [{"key": taint, "effect": "NoSchedule"}]
    status = {"allocatable": {"cpu": cpu, "memory": "8Gi"}, "conditions": [{"type": "Ready", "status": str(ready)}]}
    obj = kinds.NODE.new(name, spec=spec, status=status)
    obj["metadata"]["resourceVersion"] = "1"
    return node_summary(obj)


def pod(name: str, where: str = "", cpu: str = "500m", phase: str = "Running", **more: Any) -> Object:
    containers = [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]
    spec = {"nodeName": where, "containers": containers, **more.pop("spec", {})}
    metadata = {"labels": more.pop("labels", {}), "resourceVersion": "1"}
    return pod_summary(kinds.POD.new(name, "shop", metadata=metadata, spec=spec, status={"phase": phase}))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"cpu": "1500m", "memory": "1Gi"}, Amounts(1500, GIB)),
        ({"cpu": 2, "nvidia.com/gpu": 1}, Amounts(2000, 0, 1)),
        ({"cpu": "0.0001"}, Amounts(1)),
        ({"gpu.intel.com/i915": "2", "memory": "nonsense"}, Amounts(0, 0, 2)),
        ({}, Amounts()),
    ],
)
def test_amounts(asked: Object, found: Amounts) -> None:
    assert amounts(asked) == found


def test_what_is_spelled_out_reads_the_same() -> None:
    assert amounts(spelled(Amounts(1500, 3 * GIB, 0))) == Amounts(1500, 3 * GIB)


def test_a_pod_asks_for_what_a_scheduler_reserves() -> None:
    first = [{"name": "i", "resources": {"requests": {"cpu": "2"}}}]
    beside = [{"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}}]
    assert pod("a", "n", spec={"initContainers": first})["spec"]["asks"].cpu_millis == 2000
    assert pod("a", "n", spec={"initContainers": beside})["spec"]["asks"].cpu_millis == 600
    assert pod("a", "n", spec={"overhead": {"cpu": "1"}})["spec"]["asks"].cpu_millis == 1500


def test_pods_are_kept_as_little_as_they_need() -> None:
    alike = pod("a", "n"), pod("b", "n")
    assert alike[0]["spec"] is alike[1]["spec"] and set(alike[0]) == {"metadata", "spec"}
    assert waits(pod("a", phase="Pending", labels=OURS)) and not waits(pod("a", "n", labels=OURS))
    assert not waits(pod("a", phase="Pending")), "others' pods explain nothing of ours"
    assert counts(kinds.POD, alike[0]) and not counts(kinds.NODE, kinds.NODE.new("virtual", spec={}))


@pytest.mark.parametrize(
    ("nodes", "allocatable", "cordoned", "ready"),
    [
        ([node("a"), node("b")], 8000, False, True),
        ([node("a"), node("b", cordoned=True)], 4000, False, True),
        ([node("a", cordoned=True), node("b", cordoned=True)], 0, True, True),
        ([node("a", ready=False)], 0, False, False),
        ([node("a", taint="node-role.kubernetes.io/control-plane"), node("b")], 4000, False, True),
        ([node("a", taint="node-role.kubernetes.io/control-plane"), node("b", cordoned=True)], 0, True, True),
        ([node("a", taint="node.kubernetes.io/unschedulable")], 4000, False, True),
        ([], 0, False, True),
    ],
    ids=[
        "two", "one cordoned", "all cordoned", "not ready", "control plane", "the only worker cordoned",
        "by conditions", "none",
    ],
)  # fmt: skip
def test_nodes(nodes: list[Object], allocatable: int, cordoned: bool, ready: bool) -> None:
    found = tally(nodes, ()).capacity()
    assert (found.allocatable.cpu_millis, found.cordoned, found.ready) == (allocatable, cordoned, ready)


def test_pods_count_where_they_are_bound_and_ours_are_told_apart() -> None:
    pods = [pod("a", "n"), pod("b", "n", labels=OURS), pod("c", "elsewhere"), pod("d", phase="Pending", labels=OURS)]
    found = tally([node("n")], pods)
    assert found.capacity().requested == Amounts(1000, 2 * GIB) and found.capacity().pending == Amounts(500, GIB)
    assert found.of(("default", "o")) == Amounts(500, GIB) and found.of(("default", "p")) == Amounts()


def test_kept_with_every_change_the_sums_are_those_of_counting_anew() -> None:
    rng, sums = random.Random(7), Tally()
    nodes: dict[str, Object] = {}
    pods: dict[str, Object] = {}
    for _ in range(2000):
        if rng.random() < 0.1:
            name = f"n{rng.randrange(4)}"
            new = None if rng.random() < 0.3 else node(name, str(rng.randrange(1, 9)), cordoned=rng.random() < 0.3)
            sums.node(nodes.get(name), new)
            nodes.pop(name, None) if new is None else nodes.update({name: new})
        else:
            name = f"p{rng.randrange(30)}"
            labels = OURS if rng.random() < 0.5 else {}
            new = (
                None
                if rng.random() < 0.3
                else pod(name, rng.choice(["", "n0", "n1", "n2"]), f"{rng.randrange(9)}00m", labels=labels)
            )
            sums.pod(pods.get(name), new)
            pods.pop(name, None) if new is None else pods.update({name: new})
        fresh = tally(nodes.values(), pods.values())
        assert sums.capacity() == fresh.capacity() and sums.of(("default", "o")) == fresh.of(("default", "o"))


def test_small_changes_are_told_once_they_add_up() -> None:
    sums = Tally()
    sums.node(None, node("n", "10"))
    assert sums.worth_telling() and not sums.worth_telling()
    told = []
    for number in range(12):
        sums.pod(
            None, pod(f"p{number}", "n", "100m", spec={"containers": [{"resources": {"requests": {"cpu": "100m"}}}]})
        )
        told.append(sums.worth_telling())
    assert told == [False, False, False, False, True] * 2 + [False, False]
    sums.pod(None, pod("waits", phase="Pending"))
    assert sums.worth_telling(), "a pod waits for a node"


def test_near() -> None:
    whole = Amounts(10_000, 10 * GIB, 2)
    assert near(Amounts(1000), Amounts(1400), whole) and not near(Amounts(1000), Amounts(1600), whole)
    assert not near(Amounts(gpus=1), Amounts(gpus=2), whole)
