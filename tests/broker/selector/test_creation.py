"""Pods that are placed while they are created: what they look like, what the loop is left, and that nobody slips through."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from continuo.broker.selector.names import DECISION, MANAGER, MOVE, MOVED_FROM, REFLECTED_FROM
from continuo.broker.selector.pods import is_ready
from continuo.cli.catalog_why import decision_of, headline, rows_of
from continuo.resources import kinds
from continuo.resources.broker import CONSUMER as CONSUMERS
from continuo.resources.meta import Object, annotations_of
from seeding import seeds

from .bench import ANYTHING, SPACE, Bench, broker
from .test_selector import FAST

pytestmark = pytest.mark.anyio
GOOD = "consumer.organisation == 'good'"


def copy(name: str, namespace: str = SPACE, *, cpu: str = "1", labels: Any = None, **spec: Any) -> Object:
    """As a reflection is about to create it."""
    container = {"name": "m", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    body = {"containers": [container], "schedulerName": MANAGER, **spec}
    return kinds.POD.new(
        name, namespace, metadata={"labels": {REFLECTED_FROM: "home", "app": "web", **(labels or {})}}, spec=body
    )


def place(bench: Bench, pod: Object) -> Object:
    assert bench.selector is not None
    return bench.selector.placement(pod)


def node_of(pod: Object) -> str | None:
    found: str | None = pod["spec"].get("nodeName")
    return found


async def test_a_placed_pod_is_as_one_that_was_bound() -> None:
    async with broker() as bench:
        await bench.provider("p1", region="eu")
        await bench.provider("p2", region="us")
        await bench.measure("p1", latency=12.5)
        eu = [{"name": "region", "expression": "provider.region == 'eu'"}]
        await bench.policy(compliance=eu, performance=FAST)
        await bench.consumer()
        await bench.start()
        before = copy("placed")
        placed = place(bench, before)
        assert node_of(placed) == "node-p1" and node_of(before) is None and not annotations_of(before)
        await bench.cluster.create(placed)
        await bench.cluster.create(copy("bound"))
        await bench.until(lambda: bench.where() == {"p1": 2})
        both = [bench.api.get(kinds.POD, name, SPACE) for name in ("placed", "bound")]
        told = [decision_of(pod) for pod in both]
        assert rows_of(told[0]) == rows_of(told[1]) and len(rows_of(told[0])) == 3
        sentences = [headline("x", {**each, "at": "now"}) for each in told]
        assert sentences[0] == sentences[1] and "provider p1, node node-p1" in sentences[0][0]
        marked = [{k: v for k, v in annotations_of(pod).items() if k != DECISION} for pod in both]
        assert marked[0] == marked[1] == {MOVED_FROM: "", MOVE: ""}
        assert len(bench.bindings) == 2


async def test_what_cannot_be_said_yet_is_left_to_the_loop() -> None:
    async with broker() as bench:
        await bench.provider("p1", cpu="2")
        await bench.policy(authorization=[{"name": "who", "expression": GOOD}])
        await bench.consumer("good", organisation="good")
        await bench.consumer("evil", "den", organisation="evil")
        selector = await bench.start()
        left = (
            copy("a", "nobodys"), copy("a", "den"), copy("a", schedulerName="theirs"), copy("a", cpu="3"),
            copy("a", schedulingGates=[{"name": "wait"}]), copy("a", nodeSelector={"gpu": "yes"}),
        )  # fmt: skip
        for pod in left:
            assert place(bench, pod) is pod, pod
        assert node_of(place(bench, copy("a"))) == "node-p1"
        await bench.cluster.create(copy("b", "den"))
        await bench.until(lambda: "authorization rule who" in bench.told("b", "den").get("message", ""))
        await bench.kill()
        late = copy("c")
        assert selector.placement(late) is late, "a selector that has ended decides nothing"


async def test_a_pod_that_never_comes_gives_its_room_back() -> None:
    async with broker() as bench:
        await bench.provider("p1", cpu="2")
        await bench.policy(compliance=ANYTHING)
        await bench.consumer()
        selector = await bench.start()
        for _ in range(3):
            assert node_of(place(bench, copy("a"))), "tried again, it is the same pod"
        assert node_of(place(bench, copy("b")))
        assert not node_of(place(bench, copy("c")))
        await bench.cluster.create(copy("c"))
        await bench.until(lambda: "short of cpu" in bench.told("c").get("message", ""))
        selector._creation._expected = {
            key: type(each)(each.token, each.chosen, 0.0) for key, each in selector._creation._expected.items()
        }
        selector.facts.add(("expected", ""))
        await bench.until(lambda: bench.where() == {"p1": 1})
        assert node_of(place(bench, copy("d"))) and not node_of(place(bench, copy("e")))


async def test_a_pod_is_counted_once_however_it_comes() -> None:
    async with broker() as bench:
        await bench.provider("p1", cpu="3")
        await bench.policy(compliance=ANYTHING)
        await bench.consumer()
        await bench.start()
        await bench.cluster.create(place(bench, copy("a")))
        place(bench, copy("b"))
        await bench.cluster.create(copy("b"))  # somebody else's of that name, without a node
        await bench.until(lambda: bench.where() == {"p1": 2})
        await bench.idle()
        assert node_of(place(bench, copy("c"))) and not node_of(place(bench, copy("d")))
        await bench.cluster.delete(kinds.POD, "a", SPACE, grace_seconds=0)
        await bench.until(lambda: len(bench.pods()) == 1)
        await bench.idle()
        assert node_of(place(bench, copy("d")))


async def test_a_policy_that_changes_between_decision_and_creation_has_its_way() -> None:
    async with broker() as bench:
        await bench.provider("p1")
        await bench.policy(authorization=ANYTHING)
        await bench.consumer()
        await bench.start()
        placed = place(bench, copy("a"))
        assert node_of(placed) == "node-p1"
        await bench.policy(authorization=[{"name": "no", "expression": "false"}])
        await bench.until(lambda: node_of(place(bench, copy("probe"))) is None)
        await bench.cluster.create(placed)
        await bench.until(lambda: not bench.api.list(kinds.POD, SPACE))
        await bench.cluster.create(place(bench, copy("a")))  # as its reflection does
        await bench.until(lambda: "authorization rule no" in bench.told("a").get("message", ""))
        assert bench.where() == {"-": 1}


async def test_a_moved_pod_completes_its_move_when_it_is_placed_at_creation() -> None:
    async with broker() as bench:
        await bench.provider("p1")
        await bench.provider("p2")
        for name in ("p1", "p2"):
            await bench.measure(name, latency=1.0)
        await bench.policy(performance=FAST, rank="provider.name == 'p1' ? 1.0 : 0.0", moves={"returnAfter": 0})
        await bench.consumer()
        await bench.start()
        await bench.cluster.create(place(bench, copy("a", terminationGracePeriodSeconds=1)))
        await bench.until(lambda: bench.where() == {"p1": 1})
        first = bench.api.get(kinds.POD, "a", SPACE)["metadata"]["uid"]
        await bench.measure("p1", latency=99.0)
        await bench.until(lambda: not bench.api.list(kinds.POD, SPACE))
        await bench.idle()
        await bench.cluster.create(place(bench, copy("a")))
        second = bench.api.get(kinds.POD, "a", SPACE)
        assert node_of(second) == "node-p2"
        assert (annotations_of(second)[MOVED_FROM], annotations_of(second)[MOVE]) == ("p1", first)
        await bench.until_obj(CONSUMERS, "acme", lambda obj: not (obj.get("status") or {}).get("moving"))


async def test_a_consumer_that_may_be_nowhere_any_more_leaves_in_one_go() -> None:
    async with broker() as bench:
        await bench.provider("p1")
        await bench.policy(authorization=ANYTHING, moves={"perWorkload": 1, "perConsumer": 2})
        await bench.consumer()
        await bench.start()
        stop = bench.api.listen(kinds.POD, lambda change: again(change))
        made: set[asyncio.Task[Object]] = set()

        def again(change: Any) -> None:  # as the reflection does
            if change.type == "DELETED":
                pod = copy(change.object["metadata"]["name"], terminationGracePeriodSeconds=1)
                made.add(asyncio.ensure_future(bench.cluster.create(place(bench, pod))))

        for number in range(6):
            await bench.cluster.create(place(bench, copy(f"web-{number}", terminationGracePeriodSeconds=1)))
        await bench.until(lambda: all(is_ready(pod) for pod in bench.pods()))
        await bench.policy(authorization=[{"name": "no", "expression": "false"}])
        await bench.until(lambda: bench.where() == {"-": 6})
        await asyncio.gather(*made)
        stop()


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("at_creation", [
    pytest.param(True, id="at creation"), pytest.param(False, id="by the loop", marks=pytest.mark.long),
])  # fmt: skip
async def test_nobody_outside_the_policy_gets_anything_while_200_pods_race_a_revocation(
    seed: int, *, at_creation: bool
) -> None:
    rng = random.Random(seed)
    async with broker() as bench:
        for name in ("p1", "p2"):
            await bench.provider(name, cpu="1000")
        moves = {"perWorkload": 100, "perConsumer": 100}
        await bench.policy(authorization=[{"name": "who", "expression": GOOD}], moves=moves)
        await bench.consumer("good", organisation="good")
        await bench.consumer("evil", "den", organisation="evil")
        await bench.start()
        order = [(space, f"x{number}") for number in range(200) for space in (SPACE, "den")]
        rng.shuffle(order)
        revoked_at, revoked = rng.randint(100, 250), asyncio.Event()
        granted: set[str] = set()
        work = iter(enumerate(order))

        async def create() -> None:
            for number, (space, name) in work:
                if number == revoked_at:
                    await bench.policy(authorization=[{"name": "who", "expression": "false"}], moves=moves)
                    granted.update(uid for uid, _ in bench.bindings)
                    revoked.set()
                pod = copy(name, space, cpu="100m")
                placed = place(bench, pod) if at_creation else pod
                await asyncio.sleep(rng.random() * 0.01)
                await bench.cluster.create(placed)

        await asyncio.gather(*(create() for _ in range(8)))
        assert revoked.is_set()
        await bench.until(lambda: all(node_of(pod) is None for pod in bench.pods()))
        await bench.idle()
        assert all(node_of(pod) is None for pod in bench.pods())
        assert bench.where("den") == {"-": 200}, "who was never allowed was never scheduled"
        strangers = {pod["metadata"]["uid"] for pod in bench.pods("den")}
        assert granted and not strangers & {uid for uid, _ in bench.bindings}
        slipped = {uid for uid, _ in bench.bindings} - granted
        assert len(slipped) <= 16, "after the revocation only what was on its way then, and that was taken back"
