"""The selector on a whole API server: who gets a place and who does not, moves, returns, and being killed."""

from __future__ import annotations

import asyncio
import random

import pytest

from continuo.broker.selector.names import CONSUMER, MOVED_FROM
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK
from continuo.resources import kinds
from continuo.resources.broker import BROKER_POLICY, PROVIDER
from continuo.resources.broker import CONSUMER as CONSUMERS
from continuo.resources.errors import BadRequest
from continuo.resources.meta import annotations_of, condition
from seeding import seeds

from .bench import ANYTHING, SPACE, Bench, broker

pytestmark = pytest.mark.anyio
FAST = [{"name": "fast", "expression": "measured.latency < 20.0", "maxAge": 60}]


async def test_pods_go_where_both_sides_allow_and_say_why() -> None:
    async with broker() as bench:
        await bench.provider("p1", region="eu")
        await bench.provider("p2", region="us")
        await bench.provider("p3", region="eu")
        await bench.measure("p1", latency=12.5)
        await bench.measure("p3", latency=48.0)
        eu = [{"name": "region", "expression": "provider.region == 'eu'"}]
        await bench.policy(authorization=ANYTHING, compliance=eu, performance=FAST)
        await bench.consumer()
        await bench.start()
        await bench.deployment("web", 5)
        await bench.until(lambda: bench.where() == {"p1": 5})
        told = bench.told(bench.pods()[0]["metadata"]["name"])
        assert told["provider"] == "p1" and told["node"] == "node-p1" and told["consumer"] == "acme"
        removed = {entry["provider"]: entry["by"] for entry in told["removed"]}
        assert [by["rule"] for by in removed["p2"]] == ["region", "fast"]
        assert removed["p3"][0]["data"][0]["value"] == 48.0 and removed["p3"][0]["data"][0]["source"] == "measured"


async def test_what_nobody_allows_waits_with_a_sentence_and_goes_when_it_may() -> None:
    async with broker() as bench:
        await bench.provider("p1", region="us")
        await bench.consumer()
        await bench.start()
        await bench.pod("a")
        await bench.until(lambda: "message" in bench.told("a"))
        sentence = "none of 1 providers can take this pod of consumer acme: 1 covered by no policy"
        assert bench.told("a")["message"] == sentence
        found = condition(bench.api.get(kinds.POD, "a", SPACE), "PodScheduled")
        assert found is not None and found["reason"] == "Unschedulable"
        await bench.policy(compliance=[{"name": "eu", "expression": "provider.region == 'eu'"}])
        await bench.until(lambda: "policy pol, compliance rule eu" in bench.told("a")["message"])
        await bench.cluster.patch(PROVIDER, "p1", {"spec": {"region": "eu"}})
        await bench.until(lambda: bench.where() == {"p1": 1})


async def test_a_bad_policy_denies_and_says_so() -> None:
    async with broker() as bench:
        await bench.provider("p1")
        await bench.policy("bad", compliance=[{"name": "r", "expression": "provider.regoin ="}])
        await bench.policy("good", compliance=ANYTHING)
        await bench.consumer()
        await bench.start()
        await bench.pod("a")
        await bench.until(lambda: "covered by policy bad, which cannot be used" in bench.told("a").get("message", ""))
        obj = await bench.until_obj(BROKER_POLICY, "bad", lambda obj: condition(obj, "Ready"))
        found = condition(obj, "Ready")
        assert found is not None and found["status"] == "False" and "spec.compliance[r]" in found["message"]
        await bench.until_obj(
            BROKER_POLICY, "good", lambda obj: (condition(obj, "Ready") or {}).get("status") == "True"
        )
        await bench.policy("bad", compliance=ANYTHING)
        await bench.until(lambda: bench.where() == {"p1": 1})


async def test_whoever_is_outside_the_policy_gets_nothing_while_they_hammer() -> None:
    async with broker() as bench:
        await bench.provider("p1")
        await bench.policy(authorization=[{"name": "who", "expression": "consumer.organisation == 'good'"}])
        await bench.consumer("good", organisation="good")
        await bench.consumer("evil", "den", organisation="evil")
        strangers = kinds.NAMESPACE.new("strangers", metadata={"labels": {CONSUMER: "unknown"}})
        await bench.cluster.create(strangers)
        await bench.start()
        forged = {"continuo.dev/decision": '{"provider":"p1"}', MOVED_FROM: "p1"}
        for number in range(25):
            for space in (SPACE, "den", "strangers"):
                pod = kinds.POD.new(
                    f"x{number}", space, metadata={"annotations": forged},
                    spec={"containers": [{"name": "m", "image": "i"}]},
                )  # fmt: skip
                await bench.cluster.create(pod)
            if number % 10 == 5:
                await bench.policy(authorization=[{"name": "who", "expression": "consumer.organisation == 'good'"}],
                                   rank=f"{number}.0")  # fmt: skip
                await bench.measure("p1", latency=float(number))
        await bench.until(lambda: bench.where() == {"p1": 25})
        await bench.idle()
        assert bench.where("den") == {"-": 25} and bench.where("strangers") == {"-": 25}
        assert len(bench.bindings) == 25
        assert "organisation" in bench.told("x1", "den")["removed"][0]["by"][0]["why"]
        assert "declare one" in bench.told("x1", "strangers")["message"]
        good = bench.api.get(kinds.POD, "x1", SPACE)
        assert annotations_of(good)[MOVED_FROM] == "", "what a consumer forges is written over"


async def test_a_pod_that_a_rival_bound_against_the_policy_is_evicted() -> None:
    async with broker() as bench:
        await bench.provider("p1")
        await bench.provider("p2")
        await bench.policy(compliance=[{"name": "r", "expression": "provider.name == 'p2'"}])
        await bench.consumer()
        await bench.deployment("web", 3)
        await bench.until(lambda: bench.where() == {"-": 3})
        await bench.hammer(3, SPACE)
        assert bench.where() == {"p1": 3}
        await bench.start()
        await bench.until(lambda: bench.where() == {"p2": 3})


async def test_a_pod_on_a_node_of_the_brokers_own_leaves_it() -> None:
    async with broker() as bench:
        own = {"labels": {BUILTIN_NETWORK: ""}}
        room = {"cpu": "9", "memory": "9Gi", "pods": "9"}
        status = {"allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]}
        bench.api.create(
            {**kinds.NODE.new("node-own", metadata=own, spec={"podCIDR": "10.9.0.0/24"}), "status": status}
        )
        await bench.policy(compliance=ANYTHING)
        await bench.consumer()
        await bench.deployment("web", 3)
        await bench.until(lambda: bench.where() == {"own": 3})  # the cluster's own scheduler was quicker
        await bench.cluster.patch(kinds.NODE, "node-own", {"spec": {"unschedulable": True}})
        await bench.provider("p1")
        await bench.start()
        await bench.until(lambda: bench.where() == {"p1": 3})


async def test_full_providers_are_passed_over_and_waiting_pods_get_freed_room() -> None:
    async with broker() as bench:
        await bench.provider("p1", cpu="3")
        await bench.provider("p2", cpu="100", pods=2)
        await bench.policy(compliance=ANYTHING, rank="provider.name == 'p1' ? 1.0 : 0.0")
        await bench.consumer()
        await bench.start()
        await bench.deployment("web", 6)
        await bench.until(lambda: bench.where() == {"p1": 3, "p2": 2, "-": 1})
        await bench.until(lambda: any("message" in bench.told(p["metadata"]["name"]) for p in bench.pods()))
        (waiting,) = [p["metadata"]["name"] for p in bench.pods() if not p["spec"].get("nodeName")]
        assert bench.told(waiting)["message"].endswith("1 allowed but full of pods, 1 allowed but short of cpu")
        node = bench.api.get(kinds.NODE, "node-p2")
        allocatable = {**node["status"]["allocatable"], "pods": "9"}
        bench.api.set_status(node, {**node["status"], "allocatable": allocatable}, "test")
        await bench.until(lambda: bench.where() == {"p1": 3, "p2": 3})
        await bench.deployment("web", 2)
        await bench.until(lambda: sum(bench.where().values()) == 2)
        await bench.deployment("web", 11)
        await bench.until(lambda: bench.where() == {"p1": 3, "p2": 8})


async def test_pods_of_equally_good_providers_spread() -> None:
    async with broker() as bench:
        for name in ("p1", "p2", "p3"):
            await bench.provider(name)
        await bench.policy(compliance=ANYTHING)
        await bench.consumer()
        await bench.start()
        await bench.deployment("web", 30)
        await bench.until(lambda: bench.where() == {"p1": 10, "p2": 10, "p3": 10})


def moving(bench: Bench) -> list[str]:
    ledger = (bench.api.get(CONSUMERS, "acme").get("status") or {}).get("moving") or []
    return [entry["pod"] for entry in ledger]


async def at_two_providers(bench: Bench, **moves: object) -> None:
    """Six pods at p1, which is the better one, while p2 is as allowed."""
    await bench.provider("p1")
    await bench.provider("p2")
    await bench.measure("p1", latency=1.0)
    await bench.measure("p2", latency=1.0)
    await bench.policy(performance=FAST, rank="provider.name == 'p1' ? 1.0 : 0.0", moves=moves)
    await bench.consumer()
    await bench.start()
    await bench.deployment("web", 6)
    await bench.until(lambda: bench.where() == {"p1": 6})


async def test_a_measurement_moves_pods_within_the_budget_and_returns_them() -> None:
    async with broker() as bench:
        most = 0

        def watch(_: object) -> None:
            nonlocal most
            most = max(most, len(moving(bench)))

        await at_two_providers(bench, perWorkload=2, returnAfter=30)
        bench.api.listen(CONSUMERS, watch)
        await bench.measure("p1", latency=99.0)
        await bench.until(lambda: bench.where() == {"p2": 6} and not moving(bench))
        assert most == 2
        assert {annotations_of(pod)[MOVED_FROM] for pod in bench.pods()} == {"p1"}
        bindings = len(bench.bindings)
        await bench.measure("p1", latency=1.0)
        await bench.idle()
        assert bench.where() == {"p2": 6}, "not before it was allowed for 30 s"
        bench.clock += 20.0
        await bench.measure("p1", latency=99.0)
        await bench.idle()
        await bench.measure("p1", latency=1.0)
        await bench.measure("p2", latency=1.0)
        await bench.idle()
        bench.clock += 20.0
        await bench.measure("p1", latency=2.0)
        await bench.idle()
        assert len(bench.bindings) == bindings, "the break began the waiting anew"
        bench.clock += 11.0
        more = {"returnAfter": 30, "perWorkload": 2}
        await bench.policy("more", rank="provider.name == 'p1' ? 1.0 : 0.0", moves=more)  # lets pods be looked at now
        await bench.until(lambda: bench.where() == {"p1": 6})
        await bench.until_obj(CONSUMERS, "acme", lambda _: not moving(bench))
        assert most == 2 and {annotations_of(pod)[MOVED_FROM] for pod in bench.pods()} == {""}


async def test_slow_is_better_than_nowhere_but_forbidden_is_not() -> None:
    async with broker() as bench:
        await at_two_providers(bench)
        await bench.measure("p2", latency=99.0)
        await bench.measure("p1", latency=99.0)
        await bench.idle()
        assert bench.where() == {"p1": 6}
        await bench.policy(performance=FAST, compliance=[{"name": "no", "expression": "provider.name == 'p9'"}],
                           moves={"perWorkload": 10, "perConsumer": 10})  # fmt: skip
        await bench.until(lambda: bench.where() == {"-": 6})


async def test_a_pod_that_came_during_a_move_which_is_called_off_gets_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with broker() as bench:
        await at_two_providers(bench)
        assert bench.selector is not None

        async def held_up(_key: object, _uid: str) -> bool:  # as by a disruption budget
            return False

        monkeypatch.setattr(bench.selector.desk.actor, "evict", held_up)
        await bench.measure("p1", latency=99.0)
        await bench.until(lambda: len(moving(bench)) == 1)
        await bench.deployment("web", 7)
        await bench.until(lambda: sum(bench.where().values()) == 7)
        await bench.idle()
        assert bench.where() == {"p1": 6, "-": 1}, "it may be the one that replaces who goes"
        await bench.measure("p1", latency=1.0)
        await bench.until(lambda: bench.where() == {"p1": 7} and not moving(bench))


async def test_keep_keeps_what_runs() -> None:
    async with broker() as bench:
        await at_two_providers(bench, running="Keep")
        await bench.measure("p1", latency=99.0)
        await bench.idle()
        assert bench.where() == {"p1": 6}
        await bench.deployment("web", 8)
        await bench.until(lambda: bench.where() == {"p1": 6, "p2": 2})


async def test_a_measurement_that_grows_old_counts_as_none() -> None:
    async with broker() as bench:
        await at_two_providers(bench, perWorkload=6)
        await bench.measure("p1", age=58.5, latency=1.0)
        await bench.until(lambda: bench.where() == {"p2": 6})


async def test_a_pod_that_nobody_would_make_again_stays() -> None:
    async with broker() as bench:
        await bench.provider("p1")
        await bench.policy(compliance=ANYTHING)
        await bench.consumer()
        await bench.start()
        await bench.pod("bare")
        await bench.until(lambda: bench.where() == {"p1": 1})
        await bench.policy(compliance=[{"name": "no", "expression": "false"}])
        await bench.idle()
        assert bench.where() == {"p1": 1}
        async with asyncio.timeout(10):
            while not any(event["reason"] == "NotAllowed" for event in bench.api.list(kinds.EVENT, SPACE)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_two_consumers_with_one_id_are_nobody() -> None:
    async with broker() as bench:
        await bench.provider("p1")
        await bench.policy(compliance=ANYTHING)
        await bench.consumer("acme", clusterID="same")
        await bench.cluster.create(CONSUMERS.new("other", spec={"clusterID": "same"}))
        await bench.start()
        await bench.pod("a")
        await bench.until(lambda: "more than one" in bench.told("a").get("message", ""))
        await bench.cluster.delete(CONSUMERS, "other")
        await bench.until(lambda: bench.where() == {"p1": 1})


@pytest.mark.parametrize("seed", seeds(1))
async def test_killed_at_any_point_no_pod_is_bound_twice_and_none_is_lost(seed: int) -> None:
    rng = random.Random(seed)
    async with broker() as bench:
        for name in ("p1", "p2", "p3"):
            await bench.provider(name, cpu="30")
            await bench.measure(name, latency=1.0)
        await bench.policy(performance=FAST, moves={"perWorkload": 5, "returnAfter": 0})
        await bench.consumer()
        await bench.start()
        await bench.deployment("web", 20)
        await bench.deployment("db", 10)
        for _ in range(6):
            await asyncio.sleep(rng.random() * 0.06)
            await bench.measure(f"p{rng.randint(1, 2)}", latency=rng.choice([1.0, 99.0]))
            await asyncio.sleep(rng.random() * 0.06)
            await bench.kill()
            await bench.start()
        for name in ("p1", "p2"):
            await bench.measure(name, latency=99.0)
        await bench.until(lambda: bench.where() == {"p3": 30} and not moving(bench))
        uids = [uid for uid, _ in bench.bindings]
        assert len(uids) == len(set(uids)), "a pod was bound twice"
        assert len(bench.pods()) == 30


async def test_without_its_kinds_it_says_what_to_do() -> None:
    async with broker() as bench:
        bench.host.engine.create_cluster("bare")
        from continuo.broker.selector.selector import Selector
        from continuo.kube.config import connect

        cluster = connect(bench.host.engine.kubeconfig("bare"), name="bare")
        with pytest.raises(BadRequest, match="continuo install --crds-only"):
            await Selector(cluster).run()
        await cluster.close()
