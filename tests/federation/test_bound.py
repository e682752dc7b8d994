"""What was bought bounds what is there: by tables, and by a provider in memory to which anything may happen."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.federation.reflection.bound import Bought, Shape, Tally, lacks, most_of, shape_of, spell, with_requests
from continuo.federation.requests import requests_of
from continuo.resources import kinds
from continuo.resources.meta import Key, Object

PLAN = {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1", "pods": "3"}


def asks(limits: dict[str, str] | None = None, **requests: str) -> Object:
    resources = {"requests": requests, **({"limits": limits} if limits else {})}
    return {"name": "m", "resources": resources}


def spec(*containers: Object, **more: Any) -> Object:
    return {"containers": list(containers), **more}


# --- one decision -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("used", "asked", "short"), [
    ({}, spec(asks(cpu="2", memory="4Gi")), []),
    ({}, spec(asks(cpu="2001m")), ["cpu: 2001m asked, 0 of 2 in use"]),
    ({"cpu": "1500m"}, spec(asks(cpu="250m"), asks(cpu="250m")), []),
    ({"cpu": "1500m"}, spec(asks(cpu="501m")), ["cpu: 501m asked, 1500m of 2 in use"]),
    ({"cpu": "3"}, spec(asks(cpu="1m")), ["cpu: 1m asked, 3 of 2 in use"]),
    ({"cpu": "3"}, spec(asks(memory="1Gi")), []),
    ({"pods": "3"}, spec(asks()), ["pods: 1 asked, 3 of 3 in use"]),
    ({"memory": "3Gi"}, spec(asks(memory="2G")), ["memory: 2G asked, 3Gi of 4Gi in use"]),
    ({}, spec(asks(**{"nvidia.com/gpu": "2"})), ["nvidia.com/gpu: 2 asked, 0 of 1 in use"]),
    ({}, spec(asks(**{"example.com/tpu": "1"})), ["example.com/tpu: 1 asked, 0 of 0 in use"]),
    ({}, spec(asks(**{"hugepages-2Mi": "2Mi"})), ["hugepages-2Mi: 2097152 asked, 0 of 0 in use"]),
    ({}, spec(asks(**{"ephemeral-storage": "1Ti"})), []),
    ({}, spec(asks(cpu="1"), initContainers=[asks(cpu="3")]), ["cpu: 3 asked, 0 of 2 in use"]),
    ({}, spec(asks(cpu="1"), initContainers=[{**asks(cpu="1500m"), "restartPolicy": "Always"}]),
     ["cpu: 2500m asked, 0 of 2 in use"]),
    ({}, spec(asks(cpu="1"), overhead={"cpu": "1100m"}), ["cpu: 2100m asked, 0 of 2 in use"]),
    ({}, spec(asks(cpu="1"), resources={"requests": {"cpu": "3"}}), ["cpu: 3 asked, 0 of 2 in use"]),
    ({"cpu": "2", "memory": "4Gi"}, spec(asks(cpu="1", memory="1Gi")),
     ["cpu: 1 asked, 2 of 2 in use", "memory: 1Gi asked, 4Gi of 4Gi in use"]),
])  # fmt: skip
def test_what_there_is_too_little_of(used: dict[str, str], asked: Object, short: list[str]) -> None:
    assert [str(lack) for lack in lacks(most_of(PLAN), most_of(used), shape_of(asked))] == short


@pytest.mark.parametrize(("resource", "amount", "text"), [
    ("cpu", 1500, "1500m"), ("cpu", 2000, "2"), ("memory", 2_000_000_000_000, "2G"), ("memory", 2**31 * 1000, "2Gi"),
    ("memory", 1_234_567_000, "1234567"), ("memory", 0, "0"), ("memory", 500, "500m"), ("example.com/x", 3000, "3"),
])  # fmt: skip
def test_amounts_as_people_write_them(resource: str, amount: int, text: str) -> None:
    assert spell(resource, amount) == text


def test_what_a_container_does_not_say_is_assumed_and_bounded() -> None:
    plan = {"cpu": "50m", "memory": "4Gi", "nvidia.com/gpu": "1"}
    given = spec({"name": "a"}, asks(cpu="20m"), asks({"memory": "64Mi"}), initContainers=[{"name": "i"}])
    made = with_requests(given, plan)
    full = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "50m", "memory": "4Gi"}}
    assert made["containers"][0]["resources"] == full == made["initContainers"][0]["resources"]
    assert made["containers"][1]["resources"]["requests"] == {"cpu": "20m", "memory": "128Mi"}
    assert made["containers"][2]["resources"] == {
        "requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "50m", "memory": "64Mi"},
    }, "no more is assumed than its own limit"  # fmt: skip
    assert given["containers"][0] == {"name": "a"}, "what is shared is not changed"


def test_what_a_pod_says_of_itself_as_a_whole_stands() -> None:
    whole = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    made = with_requests(spec({"name": "a"}, resources=whole), PLAN)
    assert made["containers"][0]["resources"] == {"requests": {"memory": "128Mi", "cpu": "0"}, "limits": {"cpu": "2"}}
    assert requests_of(made)["cpu"] == 1000
    whole = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    assert with_requests(said := spec({"name": "a"}, resources=whole), PLAN) is said
    untouched = spec({"name": "a"})
    assert with_requests(untouched, {"nvidia.com/gpu": "1"}) is untouched


# --- books ------------------------------------------------------------------------------------------------------------
def copy(name: str, uid: str, asked: Object, phase: str = "Running") -> Object:
    return {**kinds.POD.new(name, "s", metadata={"uid": uid}, spec=asked), "status": {"phase": phase}}


ONE = spec(asks(cpu="1"))


def test_those_who_wait_are_called_in_order_and_only_as_many_as_fit() -> None:
    called: list[Key] = []
    tally = Tally(Bought("c1", {"cpu": "2"}), called.append)
    for name in "ab":
        tally.see(None, copy(name, name, ONE))
    for name in "cde":
        assert "contract c1 has no room for this pod (cpu: 1 asked, 2 of 2 in use)" in (
            tally.hold(("s", name), ONE, ("h", name)) or ""
        )
    tally.hold(("s", "c"), ONE, ("h", "c"))
    assert (called, tally.waiting) == ([], 3), "who asks again keeps its place"
    tally.see(copy("a", "a", ONE), copy("a", "a", ONE, "Succeeded"))
    assert called == [("h", "c")]
    assert tally.hold(("s", "x"), ONE, ("h", "x")) is not None, "what is kept for one who was called is nobody else's"
    assert tally.hold(("s", "c"), ONE, ("h", "c")) is None
    tally.see(copy("b", "b", ONE), None)
    assert called == [("h", "c"), ("h", "d")]
    tally.forget(("h", "d"))
    assert called[2:] == [("h", "e")], "room that is not wanted is the next one's"
    tally.settle(("h", "e"))
    assert called[3:] == [("h", "x")]


def test_news_of_an_older_copy_of_the_name_frees_nothing() -> None:
    tally = Tally(Bought("c1", {"cpu": "1"}), lambda _: None)
    tally.see(None, copy("a", "old", ONE))
    tally.see(copy("a", "old", ONE), copy("a", "new", ONE))
    tally.see(copy("a", "old", ONE), None)
    assert tally.used == {"cpu": 1000, "pods": 1000}
    tally.release(("s", "a"))
    assert tally.hold(("s", "a"), ONE, ("h", "a")) is None and tally.doubtful(("s", "a"))
    tally.see(copy("a", "new", ONE), None)
    assert tally.used == {"cpu": 1000, "pods": 1000}, "room that was given is given until something is heard"


def test_ten_thousand_that_wait_cost_nothing_when_one_goes() -> None:
    looks: list[Key] = []
    tally = Tally(Bought("c1", {"pods": "1"}), looks.append)
    tally.see(None, copy("first", "u", ONE))
    for number in range(10_000):
        tally.hold(("s", f"p{number}"), ONE, ("h", f"p{number}"))
    tally.release(("s", "first"))
    assert looks == [("h", "p0")]


# --- anything may happen ----------------------------------------------------------------------------------------------
SHAPES = [
    spec(asks(cpu="500m")), spec(asks(cpu="1")), spec(asks(cpu="1500m", memory="1Gi")), spec(asks(memory="2Gi")),
    spec(asks(**{"nvidia.com/gpu": "1"})), spec(asks(cpu="100m"), initContainers=[asks(cpu="2")]), spec(asks()),
]  # fmt: skip
PLANS = [PLAN, {**PLAN, "cpu": "1"}, {**PLAN, "pods": "1"}, {**PLAN, "cpu": "4", "pods": "9", "nvidia.com/gpu": "2"}]


class Provider:
    """A provider, its consumer's pods, and a reflection that loses answers, hears late and is killed."""

    def __init__(self, rng: Any) -> None:
        self.rng, self.plan = rng, PLAN
        self.pods: dict[str, Object] = {}
        self.copies: dict[str, tuple[str, Object, str]] = {}
        self.known: dict[str, Object] = {}
        self.news: deque[tuple[str, Object | None]] = deque()
        self.queue: dict[str, None] = {}
        self.count = 0
        self.tally = self.new_tally()

    def new_tally(self) -> Tally:
        return Tally(Bought("c", self.plan), lambda key: self.queue.setdefault(key[1]))

    def used(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for _, asked, phase in self.copies.values():
            if phase == "Running":
                for name, amount in shape_of(asked):
                    total[name] = total.get(name, 0) + amount
        return total

    # what happens
    def arrive(self) -> None:
        self.count += 1
        name = f"p{self.count}"
        self.pods[name] = self.rng.choice(SHAPES)
        self.queue[name] = None

    def leave(self) -> None:
        if self.pods:
            name = self.rng.choice(sorted(self.pods))
            del self.pods[name]
            self.tally.forget(("h", name))
            self.queue[name] = None

    def end(self) -> None:
        running = sorted(name for name, found in self.copies.items() if found[2] == "Running")
        if running:
            name = self.rng.choice(running)
            uid, asked, _ = self.copies[name]
            self.copies[name] = uid, asked, "Succeeded"
            self.pods.pop(name, None)
            self.tell(name)

    def change_plan(self) -> None:
        self.plan = self.rng.choice(PLANS)
        self.restart()

    def restart(self) -> None:
        self.news.clear()
        self.known = {name: copy(name, *found) for name, found in self.copies.items()}
        self.tally = self.new_tally()
        for obj in self.known.values():
            self.tally.see(None, obj)
        self.queue = dict.fromkeys((*self.pods, *self.known))

    def tell(self, name: str) -> None:
        found = self.copies.get(name)
        self.news.append((name, copy(name, *found) if found else None))

    def hear(self) -> None:
        if self.news:
            name, obj = self.news.popleft()
            self.learn(name, obj)

    def learn(self, name: str, obj: Object | None) -> None:
        before = self.known.pop(name, None)
        if obj is not None:
            self.known[name] = obj
        if before is not None or obj is not None:
            self.tally.see(before, obj)
        self.queue[name] = None

    def work(self) -> None:
        if not self.queue:
            return
        name = next(iter(self.queue))
        del self.queue[name]
        try:
            self.reconcile(name)
        finally:
            self.tally.settle(("h", name))

    def reconcile(self, name: str) -> None:
        asked, key = self.pods.get(name), ("s", name)
        if asked is not None and name not in self.known:
            if self.tally.hold(key, asked, ("h", name)) is None:
                self.create(name, asked)
            return
        if self.tally.doubtful(key) and name not in self.copies:
            self.tally.release(key)
        if asked is None and name in self.copies:
            del self.copies[name]
            self.tell(name)

    def create(self, name: str, asked: Object) -> None:
        outcome = self.rng.choice(["heard", "heard", "late", "lost", "not sent", "refused"])
        if outcome == "refused":
            if name not in self.copies:
                self.tally.release(("s", name))
            self.queue[name] = None
            return
        if outcome != "not sent" and name not in self.copies:
            self.count += 1
            self.copies[name] = f"u{self.count}", asked, "Running"
            used, most = self.used(), most_of(self.plan)
            short = [entry for entry in shape_of(asked) if entry[0] in most and used[entry[0]] > most[entry[0]]]
            assert not short, (short, used)
            self.tell(name)
        if outcome == "heard":
            while self.news:
                self.hear()
        else:
            self.queue[name] = None  # tried again


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_never_more_is_created_than_was_bought_and_nobody_waits_beside_room(seed: int) -> None:
    rng = Random(seed)
    made = Provider(rng)
    actions = [made.arrive] * 3 + [made.leave, made.end, made.hear] + [made.work] * 5 + [made.restart, made.change_plan]
    for _ in range(150):
        rng.choice(actions)()
    made.rng = Calm()
    while made.queue or made.news:
        made.work()
        made.hear()
    left: list[Shape] = [shape_of(asked) for name, asked in made.pods.items() if name not in made.copies]
    assert all(lacks(most_of(made.plan), made.used(), shape) for shape in left)
    assert made.tally.used == made.used() and made.tally.waiting == len(left)


class Calm:
    """Every request is answered."""

    def choice(self, options: list[str]) -> str:
        return options[0]
