"""Pods that came through an Aggregate: its providers only, by topology among them, and why."""

from __future__ import annotations

import random
from typing import Any

import pytest

from continuo.broker.policies.decisions import AGGREGATE, Decision, sentence
from continuo.broker.policies.facts import provider_facts
from continuo.broker.policies.verdicts import Removal, Verdict
from continuo.broker.selector.fences import Fence, Fences, fenced
from continuo.broker.selector.whereabouts import Whereabouts
from continuo.broker.selector.world import latencies
from continuo.cli.catalog_why import rows_of
from continuo.federation.reflection.twin import THROUGH
from continuo.resources import broker as models
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of

from .bench import ANYTHING, SPACE, Bench, broker
from .test_creation import copy, node_of, place

pytestmark = pytest.mark.anyio
NOW = "2026-11-22T10:00:00Z"


def provider(name: str, *, measured: dict[str, float] | None = None, **labels: str) -> Object:
    values = [{"name": key, "value": value, "at": NOW} for key, value in (measured or {}).items()]
    return {**models.PROVIDER.new(name, metadata={"labels": labels}, spec={}), "status": {"measured": values}}


def aggregate(name: str, consumer: str = "acme", made: str = NOW, **spec: Any) -> Object:
    return models.AGGREGATE.new(name, metadata={"creationTimestamp": made}, spec={"consumer": consumer, **spec})


def through(node: str) -> list[tuple[str, str]]:
    return [("app", "web"), (THROUGH, node)]


# --- pure -------------------------------------------------------------------------------------------------------------
def test_fences_follow_aggregates_and_providers() -> None:
    facts = {name: provider_facts(provider(name, tier=tier)) for name, tier in (("a", "gold"), ("b", "tin"))}
    fences = Fences()
    assert fences.around("acme", through("any")) is None
    gold = aggregate("gold", node="shiny", providers={"matchLabels": {"tier": "gold"}})
    assert fences.aggregate("gold", gold, facts.values()) == {("acme", "a"), ("acme", "b")}
    assert fences.aggregate("gold", gold, facts.values()) == set(), "nothing changed"
    fences.aggregate("all", aggregate("all"), facts.values())
    fences.aggregate("theirs", aggregate("theirs", "other"), facts.values())
    assert fences.around("acme", through("shiny")) == Fence(("gold",), frozenset({"a"}))
    assert fences.around("acme", through("all")) == Fence(("all",), frozenset({"a", "b"}))
    assert fences.around("acme", [("app", "web")]) == Fence(("all", "gold"), frozenset({"a", "b"})), "as real Liqo's"
    assert fences.around("acme", through("broker")) is None, "the transparent way"
    assert fences.around("acme", through("gold")) is None, "its node has another name"
    shiny = provider_facts(provider("b", tier="gold"))
    assert fences.provider("b", shiny) == {("acme", "b")}
    assert fences.around("acme", through("shiny")) == Fence(("gold",), frozenset({"a", "b"}))
    assert fences.provider("b", None) == {("acme", "b"), ("other", "b")}
    assert fences.aggregate("gold", None, facts.values())
    assert fences.aggregate("all", None, facts.values())
    assert fences.around("acme", []) is None


def test_a_node_that_two_aggregates_name_is_the_older_ones_and_a_broken_one_has_nobody() -> None:
    facts = [provider_facts(provider(name)) for name in "abc"]
    fences = Fences()
    for name, made in (("a", "2026-11-22T09:00:01Z"), ("b", "2026-11-22T09:00:00Z")):
        fences.aggregate(name, aggregate(name, made=made, node="n", providers={"names": [name]}), facts)
    assert fences.around("acme", through("n")) == Fence(("b",), frozenset({"b"}))
    assert fences.around("acme", []) == Fence(("b",), frozenset({"b"})), "nor may the younger one have others' pods"
    assert fences.aggregate("b", None, facts)
    assert fences.around("acme", through("n")) == Fence(("a",), frozenset({"a"}))
    fences.aggregate("broken", aggregate("broken", providers=7), facts)
    assert fences.around("acme", through("broken")) == Fence(("broken",), frozenset())


def test_an_aggregate_that_names_the_brokers_own_node_fences_nobody_in() -> None:
    facts = [provider_facts(provider(name)) for name in "ab"]
    fences = Fences("hub")
    fences.aggregate("wrong", aggregate("wrong", node="hub", providers={"names": ["a"]}), facts)
    assert fences.around("acme", through("hub")) is None, "the transparent way stays open"
    assert fences.around("acme", []) == Fence(("wrong",), frozenset({"a"})), "where no node is ours to keep"
    own = models.CONSUMER.new("acme", spec={"node": "cloud"})
    assert fences.consumer("acme", own, facts) == {("acme", "a"), ("acme", "b")}
    assert fences.consumer("acme", own, facts) == set(), "nothing changed"
    assert fences.around("acme", through("hub")) == Fence(("wrong",), frozenset({"a"}))
    assert fences.consumer("acme", None, facts) and fences.around("acme", through("hub")) is None
    assert fences.consumer("other", models.CONSUMER.new("other", spec={"node": "x"}), facts) == set()


def test_who_is_outside_is_removed_and_the_sentence_says_so() -> None:
    eu = Removal("eu", "compliance", "region", "no")
    decision = Decision("acme", (Verdict("a", ()), Verdict("c", ())), (Verdict("b", (eu,)), Verdict("d", (eu,))))
    found = fenced(decision, Fence(("gold",), frozenset({"a", "b"})))
    assert [verdict.provider for verdict in found.allowed] == ["a"]
    removed = {verdict.provider: [(r.side, r.rule) for r in verdict.removals] for verdict in found.removed}
    assert removed == {
        "b": [("compliance", "region")], "c": [(AGGREGATE, "gold")],
        "d": [(AGGREGATE, "gold"), ("compliance", "region")],
    }  # fmt: skip
    assert sentence(found).endswith("2 not behind aggregate gold, 1 refused by policy eu, compliance rule region")


def test_latency_between_providers_is_found_under_their_names() -> None:
    one = provider("a-1", measured={"latency_to_b_x": 3.5, "latency": 9.0, "latency_to_nobody": 1.0})
    facts = {obj["metadata"]["name"]: provider_facts(obj) for obj in (one, provider("b.x"))}
    assert latencies(facts) == {("a-1", "b.x"): 3.5}


def test_counts_are_the_same_however_pods_come_and_go() -> None:
    rng, where = random.Random(3), Whereabouts()
    alive: dict[tuple[str, str], tuple[str, str]] = {}
    for step in range(2000):
        key = (rng.choice(["s", "t"]), f"w{rng.randint(0, 2)}-{rng.randint(0, 5)}")
        if rng.random() < 0.4:
            uid = alive.get(key, ("", ""))[0]
            where.drop(key, "another")
            where.drop(key, uid)
            alive.pop(key, None)
        else:
            alive[key] = (f"u{step}", rng.choice("xyz"))
            where.put(key, *alive[key], kinds.POD.new(key[1], key[0]))
    for space in "st":
        expected: dict[str, dict[str, int]] = {}
        for (namespace, name), (_, node) in alive.items():
            if namespace == space:
                nodes = expected.setdefault(name[:2], {})
                nodes[node] = nodes.get(node, 0) + 1
        assert where.of(space) == expected


# --- on a whole API server --------------------------------------------------------------------------------------------
async def tiers(bench: Bench) -> None:
    """Three providers, of which an Aggregate means two, and policies one less than all."""
    for name in ("p1", "p2", "p3"):
        await bench.provider(name)
    await bench.policy(compliance=[{"name": "not-p2", "expression": "provider.name != 'p2'"}],
                       rank="provider.name == 'p1' ? 1.0 : 0.0", moves={"perWorkload": 10})  # fmt: skip
    await bench.consumer()
    await bench.cluster.create(aggregate("small", providers={"names": ["p2", "p3"]}))
    await bench.start()


async def test_a_pod_goes_to_its_aggregates_providers_within_the_policies() -> None:
    async with broker() as bench:
        await tiers(bench)
        came = place(bench, copy("opaque", labels={THROUGH: "small"}))
        assert node_of(came) == "node-p3"
        assert node_of(place(bench, copy("transparent", labels={THROUGH: "broker"}))) == "node-p1"
        assert node_of(place(bench, copy("liqo"))) == "node-p3", "no label: any Aggregate of the consumer"
        await bench.cluster.create(came)
        rows = {row[0]: row for row in rows_of(bench.told("opaque"))}
        assert rows["p1"][1:4] == ("removed", "", "aggregate/small") and rows["p2"][3] == "compliance/not-p2"
        assert rows["p3"][1] == "chosen"
        await bench.policy("none", compliance=[{"name": "no-p3", "expression": "provider.name != 'p3'"}])
        await bench.cluster.create(copy("late", labels={THROUGH: "small"}))
        await bench.until(lambda: "message" in bench.told("late"))
        message = bench.told("late")["message"]
        assert "1 not behind aggregate small" in message and "none, compliance rule no-p3" in message


async def test_a_pod_leaves_when_its_provider_leaves_the_aggregate_and_goes_in_when_one_joins() -> None:
    async with broker() as bench:
        await tiers(bench)
        labels = {THROUGH: "small"}
        for number in range(3):
            await bench.cluster.create(
                place(bench, copy(f"web-{number}", labels=labels, terminationGracePeriodSeconds=1))
            )
        await bench.until(lambda: bench.where() == {"p3": 3})
        patch = {"spec": {"providers": {"names": ["p2"]}}}
        await bench.cluster.patch(models.AGGREGATE, "small", patch)
        await bench.until(lambda: not bench.api.list(kinds.POD, SPACE))
        await bench.cluster.create(place(bench, copy("web-0", labels=labels)))
        await bench.until(lambda: "2 not behind aggregate small" in bench.told("web-0").get("message", ""))
        await bench.cluster.patch(models.AGGREGATE, "small", {"spec": {"providers": {"names": ["p1", "p2"]}}})
        await bench.until(lambda: bench.where() == {"p1": 1})


async def test_critical_replicas_are_spread_and_talkers_stay_near() -> None:
    async with broker() as bench:
        for name in ("p1", "p2", "p3"):
            await bench.provider(name)
        await bench.measure("p2", latency_to_p1=2.0)
        await bench.measure("p3", latency_to_p1=90.0)
        await bench.policy(compliance=ANYTHING, rank="provider.name == 'p3' ? 1.0 : 0.0")
        await bench.consumer()
        await bench.cluster.create(aggregate("all"))
        await bench.start()

        def asked(name: str, **wishes: str) -> Object:
            pod = copy(name, labels={THROUGH: "all"})
            said = {f"continuo.dev/{key.replace('_', '-')}": value for key, value in wishes.items()}
            pod["metadata"]["annotations"] = said
            return place(bench, pod)

        spread = [node_of(asked(f"db-{number}", critical="true")) for number in range(6)]
        assert spread[0] == "node-p3" and all(spread.count(f"node-p{n}") == 2 for n in (1, 2, 3))
        assert node_of(asked("plain-0")) == "node-p3", "without a wish the policies' rank decides"
        cache = asked("cache-0")
        assert node_of(cache) == "node-p3"
        pinned = copy("front-0", labels={THROUGH: "all"}, nodeSelector={"continuo.dev/provider": "p1"})
        assert node_of(place(bench, pinned)) == "node-p1"
        near = asked("api-0", talks_to="front")
        assert node_of(near) == "node-p1"
        await bench.cluster.create(near)
        assert bench.told("api-0")["wishes"] == {"together": 1.0}
        full = {"allocatable": {"cpu": "0", "memory": "1Gi", "pods": "9"}}
        bench.api.set_status(bench.api.get(kinds.NODE, "node-p1"), {
            **bench.api.get(kinds.NODE, "node-p1")["status"], **full}, "test")  # fmt: skip
        await bench.until(lambda: node_of(asked("api-1", talks_to="front")) == "node-p2")
        assert annotations_of(asked("alone-0", talks_to="nobody")), "a partner that is nowhere makes no difference"
