"""The selector's pure parts: what pods ask for, rooms, the ledger of moves."""

from __future__ import annotations

import random

import pytest

from continuo.broker.selector.decide import Budget, Want
from continuo.broker.selector.moves import Candidate, Seen, begin, over, replaces
from continuo.broker.selector.names import BROKERED, PROVIDER, consumer_of
from continuo.broker.selector.pods import LARGE, made_anew, read, workload_of
from continuo.broker.selector.rooms import Room, Rooms, refusal
from continuo.federation.requests import requests_of
from continuo.resources import kinds
from continuo.resources.broker import Moving
from continuo.resources.meta import Object

NOW = 1_800_000_000.0
SINCE = "2027-01-15T08:00:00Z"


def asks(**requests: str) -> Object:
    return {"name": "m", "resources": {"requests": requests}}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [asks(cpu="500m"), asks(cpu="1")]}, 1500),
        ({"containers": [asks(cpu="500m")], "initContainers": [asks(cpu="2")]}, 2000),
        ({"containers": [asks(cpu="1")], "initContainers": [{**asks(cpu="1"), "restartPolicy": "Always"}]}, 2000),
        ({"containers": [asks(cpu="1")],
          "initContainers": [{**asks(cpu="1"), "restartPolicy": "Always"}, asks(cpu="3")]}, 4000),
        ({"containers": [asks(cpu="1")], "overhead": {"cpu": "100m"}}, 1100),
        ({"containers": [asks()]}, 0),
    ],
)  # fmt: skip
def test_what_a_pod_asks_for(spec: Object, cpu: int) -> None:
    assert requests_of(spec).get("cpu", 0) == cpu


@pytest.mark.parametrize(
    ("labels", "owner", "workload"),
    [
        ({}, {"kind": "ReplicaSet", "name": "web-1", "controller": True}, "shop/ReplicaSet/web-1"),
        ({"pod-template-hash": "abc12"}, None, "shop/web"),
        ({"pod-template-hash": "abc12"}, {"kind": "ShadowPod", "name": "x", "controller": True}, "shop/web"),
        ({"pod-template-hash": "other"}, None, "shop/web-abc12-x1y2z"),
    ],
)
def test_what_a_pod_is_a_replica_of(labels: dict[str, str], owner: Object | None, workload: str) -> None:
    metadata: Object = {"labels": labels, "ownerReferences": [owner] if owner else []}
    pod = kinds.POD.new("web-abc12-x1y2z", "shop", metadata=metadata)
    assert workload_of(pod) == workload
    assert made_anew(pod) is (owner is not None)
    assert workload_of(kinds.POD.new("db-12", "shop")) == "shop/db"


@pytest.mark.parametrize("name", ["db", "db-x1", "db-1x", "12"])
def test_a_name_that_ends_in_no_ordinal_is_a_workload_of_its_own(name: str) -> None:
    assert workload_of(kinds.POD.new(name, "shop")) == f"shop/{name}"


def test_replicas_are_read_once_and_others_by_what_they_differ_in() -> None:
    def replica(name: str, cpu: str = "500m", app: str = "web", more: str = "") -> Object:
        spec = {"containers": [{**asks(cpu=cpu), "image": "i:1", "args": [more]}]}
        return kinds.POD.new(name, "shop", metadata={"labels": {"b": "2", "app": app}}, spec=spec)

    one, other = read(replica("web-1")), read(replica("web-2"))
    assert one is other
    assert one.asked == {"cpu": 500} and one.facts.requests == (("cpu", 0.5),)
    assert one.facts.labels == (("app", "web"), ("b", "2")) and one.facts.images == ("i:1",)
    assert read(replica("web-3", cpu="1")).asked == {"cpu": 1000}
    assert read(replica("db-1", app="db")).facts.labels == (("app", "db"), ("b", "2"))
    large = [read(replica(name, more="x" * LARGE)) for name in ("web-4", "web-5")]
    assert large[0] == large[1] == one and large[0] is not large[1], "what is large is not remembered"


def test_liqos_own_namespaces_are_no_consumers() -> None:
    def of(**labels: str) -> str | None:
        return consumer_of(
            kinds.NAMESPACE.new("x", metadata={"labels": {k.replace("__", "/"): v for k, v in labels.items()}})
        )

    assert of(**{"liqo.io/remote-cluster-id": "milan"}) == "milan"
    assert of(**{"liqo.io/remote-cluster-id": "milan", "continuo.dev/consumer": "rome"}) == "rome"
    assert of(**{"liqo.io/remote-cluster-id": "milan", "liqo.io/tenant-namespace": "true"}) is None
    assert of(**{"continuo.dev/consumer": ""}) is None and of() is None


def node(name: str = "n1", provider: str = "p1", *, cpu: str = "4", taints: list[Object] | None = None) -> Object:
    made = kinds.NODE.new(name, metadata={"labels": {PROVIDER: provider}}, spec={"taints": taints or []})
    status = {
        "allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "10"},
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    return {**made, "status": status}


def test_sums_are_the_same_however_pods_come_and_go() -> None:
    rng = random.Random(7)
    rooms = Rooms()
    alive: dict[tuple[str, str], int] = {}
    rooms.node("n1", node())
    for step in range(500):
        key, uid = ("s", f"p{rng.randint(0, 8)}"), f"u{step}"
        if key in alive and rng.random() < 0.5:
            rooms.release(key)
            del alive[key]
        else:
            alive[key] = cpu = rng.randint(1, 9) * 100
            rooms.book(key, uid, "n1", {"containers": [asks(cpu=f"{cpu}m")]})
            rooms.book(key, uid, "n1", {"containers": [asks(cpu=f"{cpu}m")]})
        if rng.random() < 0.1:
            rooms.node("n1", None)
            rooms.node("n1", node())
    (room,) = rooms.of("p1")
    left = 4000 - sum(alive.values())
    assert (room.lacks({"cpu": max(left, 0)}) is None) is (left >= 0)
    assert room.lacks({"cpu": left + 1}) == "short of cpu"


def test_an_old_pods_end_does_not_free_its_successors_room() -> None:
    rooms = Rooms()
    rooms.node("n1", node(cpu="1"))
    rooms.book(("s", "p"), "new", "n1", {"containers": [asks(cpu="1")]})
    assert not rooms.release(("s", "p"), "old")
    (room,) = rooms.of("p1")
    assert room.lacks({"cpu": 1}) == "short of cpu"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, None),
        ({"nodeSelector": {PROVIDER: "p1"}}, None),
        ({"nodeSelector": {"gpu": "yes"}}, "not what its node selector asks for"),
        ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": PROVIDER, "operator": "NotIn", "values": ["p1"]}]}]}}}},
         "not what its node affinity asks for"),
        ({"tolerations": [{"operator": "Exists"}]}, None),
    ],
)  # fmt: skip
def test_a_nodes_own_rules(spec: Object, why: str | None) -> None:
    ours = {"key": BROKERED, "value": "true", "effect": "NoSchedule"}
    assert refusal(Room(node(taints=[ours])), spec) == why
    theirs = {"key": "theirs", "effect": "NoSchedule"}
    expected = why or (None if "tolerations" in spec else "tainted with theirs")
    assert refusal(Room(node(taints=[ours, theirs])), spec) == expected


def moving(uid: str, pod: str = "a", workload: str = "shop/web") -> Moving:
    return Moving(uid=uid, namespace="shop", pod=pod, workload=workload, source="p1", home="p1", since=SINCE)


def candidate(name: str, workload: str, *, back: bool = False, hard: bool = False, instead_of: str = "") -> Candidate:
    want = Want("p1", "p1", back, "why", hard, Budget(2, 3, 0.0))
    return Candidate(("shop", name), f"u-{name}", workload, want, instead_of)


def test_budgets_hold_and_what_must_leave_goes_first() -> None:
    wanted = [candidate("a", "w1", back=True), *(candidate(n, "w1") for n in "bc"), candidate("d", "w1", hard=True),
              *(candidate(n, "w2") for n in "ef")]  # fmt: skip
    begun, kept = begin(wanted, [], NOW)
    assert [entry.pod for entry in begun] == ["d", "b", "e"] and kept == []
    assert begin(wanted, begun, NOW) == ([], begun)


def test_moves_whose_replacement_nobody_takes_hold_up_nobody() -> None:
    ledger = [moving(f"u{n}", workload="w1") for n in range(3)]
    wanted = [candidate(name, "w1", hard=True) for name in "abc"]
    assert begin(wanted, ledger, NOW) == ([], ledger)
    begun, kept = begin(wanted, ledger, NOW, {"u0", "u1", "u2"})
    assert [entry.pod for entry in begun] == ["a", "b"] and kept == ledger


def test_a_pod_that_moves_on_takes_its_place_in_the_budget_along() -> None:
    ledger = [moving("u1", workload="w1"), moving("u2", workload="w1")]
    begun, kept = begin([candidate("b", "w1"), candidate("c", "w1", instead_of="u1")], ledger, NOW)
    assert [entry.pod for entry in begun] == ["c"] and [entry.uid for entry in kept] == ["u2"]


@pytest.mark.parametrize(
    ("seen", "age", "expected"),
    [
        (Seen(True, False, True, False, False), 0, False),
        (Seen(True, False, False, False, False), 0, True),
        (Seen(True, True, False, False, False), 9999, False),
        (Seen(False, False, False, False, False), 100, False),
        (Seen(False, False, False, False, False), 121, True),
        (Seen(False, False, False, True, False), 599, False),
        (Seen(False, False, False, True, False), 601, True),
        (Seen(False, False, False, True, True), 0, True),
    ],
)
def test_when_a_move_is_over(seen: Seen, age: float, expected: bool) -> None:
    assert over(moving("u1"), seen, NOW + age) is expected


def test_a_replacement_is_known_by_its_name_or_its_workload_and_only_once() -> None:
    ledger = [moving("u1", "a"), moving("u2", "b"), moving("u3", "x", "shop/db")]
    assert replaces(ledger, ("shop", "b"), "new", "shop/web", {}) == ledger[1]
    assert replaces(ledger, ("shop", "c"), "new", "shop/web", {"u1": "other"}) == ledger[1]
    assert replaces(ledger, ("shop", "c"), "new", "shop/web", {"u1": "other", "u2": "more"}) is None
    assert replaces(ledger, ("shop", "a"), "u1", "shop/web", {"u2": "more"}) is None
