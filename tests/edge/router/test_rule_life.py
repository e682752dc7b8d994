"""The life of a Rule: with its node, with its endpoints, and with whoever else changes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from continuo.edge.router import pulse, sources
from continuo.edge.router.manager import RouterManager
from continuo.edge.router.rules import ARMED, OFFLINE
from continuo.embedded.port import Write
from continuo.resources import kinds
from continuo.resources.meta import Kind, annotations_of

from .edge_cluster import NODE, SINK, SPACE, Provider, provider, status

pytestmark = pytest.mark.anyio


async def test_a_node_that_was_away_is_subscribed_anew() -> None:
    async with provider() as made:
        await made.node(ready="Unknown")
        made.cloud.online.clear()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.rules() and "not ready" in made.state("one")[1], "the rule of an absent node")
        assert annotations_of(made.rules()[0])[ARMED] == OFFLINE and made.cloud.delivers("sensor/s1") is None
        made.cloud.online.add(NODE)
        await made.node(since="2026-01-01T00:01:00Z")
        await made.until(lambda: made.cloud.delivers("sensor/s1"), "the subscription")
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        await made.kill()
        await made.node(ready="Unknown", since="2026-01-01T00:02:00Z")
        made.cloud.subscribed.clear()
        await made.node(since="2026-01-01T00:03:00Z")
        await made.start()
        await made.until(lambda: made.cloud.delivers("sensor/s1"), "what nobody watched is made up for")


async def test_a_node_that_was_away_too_shortly_to_be_missed_is_subscribed_anew_when_it_is_heard_of() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        first = made.rules()[0]["metadata"]["uid"]
        made.cloud.subscribed.clear()
        made.relay.say(status("contract-one", "s1", silent=1.0))
        await made.until(lambda: (made.find(kinds.FLUIDOS_CONTRACT, "contract-one") or {}).get("status"), "the report")
        await made.node(heard="2026-01-01T00:05:00Z")
        await made.until(lambda: made.cloud.delivers("sensor/s1"), "the subscription")
        second = made.rules()[0]["metadata"]["uid"]
        assert second != first
        made.relay.say(status("contract-one", "s1", received=1, delivered=1, last="2999-01-01T00:00:00.000001Z"))
        await made.until(lambda: "1 readings delivered" in made.state("one")[1], "the first reading")
        await made.node(heard="2026-01-01T00:10:00Z")
        await made.flavor("s2")
        await made.sell("two", "s2", SINK)
        await made.until(lambda: made.state("two")[0] == "Active", "another path")
        assert made.rules()[0]["metadata"]["uid"] == second, "what flows is left alone"


async def test_a_rule_waits_with_its_end_for_its_node_which_would_go_on_sending() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        made.cloud.online.clear()
        await made.node(ready="Unknown", since="2026-01-01T00:02:00Z")
        await made.until(lambda: "not ready" in made.state("one")[1], "the node's absence")
        await made.end("one")
        await made.until(lambda: made.state("one")[0] == "Released" and not made.relay.have, "the contract's end")
        assert len(made.rules()) == 1
        made.cloud.online.add(NODE)
        await made.node(since="2026-01-01T00:03:00Z")
        await made.until(lambda: not made.rules() and not made.api.list(kinds.RULE_ENDPOINT, SPACE), "the rule's end")
        assert made.cloud.subscribed == set() and made.cloud.leaks == []


async def test_a_rule_goes_when_its_node_and_cloudcore_are_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "AGAIN", 0.02)
    monkeypatch.setattr(pulse, "_FRESH", 0.0)
    async with provider() as made:
        await made.node()
        lease = pulse.LEASE.new(NODE, pulse.SPACE, spec={"renewTime": "2026-01-01T00:00:00.000000Z"})
        await made.cluster.create(lease)
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        await made.end("one")
        await made.until(lambda: made.state("one")[0] == "Released", "the contract's end")
        assert made.relay.have == {} and len(made.rules()) == 1
        for second in range(10, 60):  # nothing tells when the lease was looked at, so it is renewed until that shows
            if made.rules():
                renewed = {"spec": {"renewTime": f"2026-01-01T00:00:{second}.000000Z"}}
                await made.cluster.patch(pulse.LEASE, NODE, renewed, pulse.SPACE)
        await made.until(lambda: not made.rules(), "the rule's end")


async def test_a_rule_of_a_node_that_no_cloudcore_holds_waits_for_nobody() -> None:
    async with provider() as made:
        await made.node(held=False)
        lease = pulse.LEASE.new(NODE, pulse.SPACE, spec={"renewTime": "2026-01-01T00:00:00.000000Z"})
        await made.cluster.create(lease)
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        await made.end("one")
        await made.until(lambda: not made.rules(), "the rule's end")


async def test_a_rule_that_somebody_changes_whenever_it_is_made_is_left_for_a_while() -> None:
    async with provider() as made:
        await made.node()
        seen = 0

        def spoil(change: Any) -> None:
            nonlocal seen
            if change.type == "ADDED":
                seen += 1
                spec = {**change.object["spec"], "targetResource": {"resource": "http://elsewhere/"}}
                asyncio.get_running_loop().call_soon(
                    made.api.update, {**change.object, "spec": spec}, Write(manager="spoiler")
                )

        made.api.listen(kinds.KUBEEDGE_RULE, spoil)
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: "somebody changes rule path-" in made.state("one")[1], "the sentence")
        assert seen == 2


@asynccontextmanager
async def two_sensors_one_sold() -> AsyncIterator[tuple[Provider, RouterManager]]:
    async with provider() as made:
        await made.node()
        manager = await made.start()
        for name in ("s1", "s2"):
            await made.flavor(name)
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        yield made, manager


class Held:
    """Requests of one verb about one kind, which wait until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, made: Provider, verb: str, kind: Kind) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        send = getattr(made.cluster, verb)

        async def slow(what: Any, *where: Any, **more: Any) -> Any:
            if (what.get("kind") if isinstance(what, dict) else what.kind) == kind.kind:
                self.asked.set()
                await self.go.wait()
            return await send(what, *where, **more)

        monkeypatch.setattr(made.cluster, verb, slow)


async def test_endpoints_stay_while_a_rule_is_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudCore looks for them once, when the Rule appears; so what is under way counts as if it was there."""
    async with two_sensors_one_sold() as (made, manager):
        rules = Held(monkeypatch, made, "create", kinds.KUBEEDGE_RULE)
        await made.sell("two", "s2", SINK)
        await rules.asked.wait()
        await made.end("one")
        await made.end("two")
        await made.until(lambda: not made.rules() and not manager.desk.ledger.sources, "that nothing is sold")
        await manager._rules._drop_endpoints(SPACE)
        assert len(made.api.list(kinds.RULE_ENDPOINT, SPACE)) == 2
        rules.go.set()
        await made.until(lambda: not made.api.list(kinds.RULE_ENDPOINT, SPACE), "the end of the endpoints")
        assert made.rules() == [] and made.cloud.leaks == [] and made.cloud.unfinished == []


async def test_an_endpoint_that_is_going_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_sensors_one_sold() as (made, manager):
        endpoints = Held(monkeypatch, made, "delete", kinds.RULE_ENDPOINT)
        await made.end("one")
        await endpoints.asked.wait()
        await made.sell("two", "s2", SINK)
        await made.until(lambda: made.state("two")[1] == "its rule is being made", "that the rule waits")
        for source in manager.desk.ledger.sources:
            await manager._rules.reconcile(source)
        assert made.rules() == []
        endpoints.go.set()
        await made.until(lambda: made.state("two")[0] == "Active", "the path again")
        assert made.cloud.unfinished == [] and made.cloud.leaks == []


async def test_a_source_that_falls_silent_is_woken_once_and_not_again_at_once() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        before = made.rules()[0]["metadata"]["uid"]
        quiet = status("contract-one", "s1", silent=31.0)
        made.cloud.subscribed.clear()
        made.relay.say(quiet)
        await made.until(lambda: made.cloud.delivers("sensor/s1"), "the subscription")
        woken = made.rules()[0]["metadata"]["uid"]
        assert woken != before
        made.relay.say(quiet)
        made.relay.say(status("contract-one", "s1", received=5, delivered=5))
        await made.until(lambda: "5 readings delivered to 1 endpoint" in made.state("one")[1], "the report")
        assert made.rules()[0]["metadata"]["uid"] == woken
