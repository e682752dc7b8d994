"""The Router Manager on a cluster: what is sold gets its path, exactly once, whoever is killed."""

from __future__ import annotations

import asyncio
import base64
import random

import pytest

from continuo.edge.relay.model import Scheme
from continuo.edge.router.rules import ROUTER
from continuo.resources import kinds
from seeding import seeds

from .edge_cluster import NODE, OTHER, SINK, SPACE, Provider, provider, status

pytestmark = pytest.mark.anyio


def ends(made: Provider, name: str) -> set[str]:
    route = made.relay.have.get(f"contract-{name}")
    return {target.url for target in route.targets} if route is not None else set()


async def test_a_sold_sensor_gets_one_rule_and_one_route_and_loses_them_with_the_contract() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        rule = made.rules()[0]
        assert made.cloud.delivers("sensor/s1") == rule["spec"]["targetResource"]["resource"]
        assert made.cloud.unfinished == []
        route = made.relay.have["contract-one"]
        assert [(flow.sensor, flow.source.topic) for flow in route.flows] == [("s1", "sensor/s1")]
        assert [target.addresses for target in route.targets] == [("10.20.0.7",)]
        await made.end("one")
        await made.until(lambda: not made.rules() and not made.relay.have, "the end of the path")
        await made.until(lambda: not made.api.list(kinds.RULE_ENDPOINT, SPACE), "the end of the endpoints")
        assert made.cloud.leaks == [] and made.cloud.delivers("sensor/s1") is None
        assert made.state("one") == ("Released", "its contract is gone")
        await made.cluster.delete(kinds.ALLOCATION, "allocation-one", SPACE)
        await made.until(lambda: made.find(kinds.ALLOCATION, "allocation-one") is None, "the allocation's end")


async def test_contracts_share_a_source_and_the_last_one_takes_the_rule_along() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        for uid in ("s1", "s2"):
            await made.flavor(uid)
        await made.sell("one", "s1", SINK)
        await made.sell("two", "s1", OTHER, buyer="b2")
        await made.sell("three", "s2", SINK, OTHER)
        await made.until(lambda: {made.state(name)[0] for name in ("one", "two", "three")} == {"Active"}, "three paths")
        assert len(made.rules()) == 2 and ends(made, "three") == {SINK, OTHER}
        first = {rule["metadata"]["uid"] for rule in made.rules()}
        await made.end("one")
        await made.until(lambda: "contract-one" not in made.relay.have, "the first one's end")
        assert {rule["metadata"]["uid"] for rule in made.rules()} == first, "the other one's readings never stopped"
        assert made.cloud.delivers("sensor/s1") and ends(made, "two") == {OTHER}
        await made.end("two")
        await made.until(lambda: len(made.rules()) == 1, "the end of the source")
        assert made.cloud.delivers("sensor/s1") is None and made.cloud.delivers("sensor/s2")


async def test_endpoints_that_must_not_be_sent_to_get_nothing_and_say_why() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        made.names["rebound.example.org"] = ["8.8.8.8", "127.0.0.1"]
        await made.sell("one", "s1", SINK, "http://169.254.169.254/latest")
        await made.sell("two", "s1", "http://rebound.example.org/in")
        await made.sell("three", "s1", "http://nobody.example.org/in")
        await made.sell("four", "s1", {"url": SINK, "authentication": {"scheme": "bearer"}})
        await made.sell("five", "s1")
        await made.until(
            lambda: all(made.state(name)[0] for name in ("one", "two", "three", "four", "five")), "verdicts"
        )
        assert made.state("one") == (
            "Error", "http://169.254.169.254/latest must not be sent to: 169.254.169.254 is a cloud's metadata service"
        )  # fmt: skip
        assert "which is what rebound.example.org means, is loopback" in made.state("two")[1]
        assert made.state("three") == (
            "Provisioning", "an endpoint's name cannot be resolved now: nobody knows nobody.example.org"
        )  # fmt: skip
        assert "nothing to do it with was given" in made.state("four")[1]
        assert "names no endpoint" in made.state("five")[1]
        assert made.relay.have == {} and made.rules() == []


async def test_what_an_endpoint_is_proved_to_with_comes_from_a_secret_and_is_shown_nowhere() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        data = {"0": base64.b64encode(b"canary-7").decode()}
        await made.cluster.create(kinds.SECRET.new("endpoints-t-one", SPACE, data=data))
        proof = {"url": SINK, "authentication": {"scheme": "bearer"}}
        await made.sell("one", "s1", proof, secretRef={"name": "endpoints-t-one"})
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        found = made.relay.have["contract-one"].targets[0].authentication
        assert (found.scheme, found.secret) == (Scheme.BEARER, "canary-7")
        for kind in (kinds.ALLOCATION, kinds.FLUIDOS_CONTRACT, kinds.KUBEEDGE_RULE, kinds.EVENT):
            assert "canary-7" not in str(made.api.list(kind))


async def test_contracts_show_what_was_delivered() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(
            lambda: made.state("one") == ("Active", "the path is there, no reading has come yet"), "the path"
        )
        made.relay.say(status("contract-one", "s1", received=3, delivered=2))
        await made.until(lambda: "2 readings delivered" in made.state("one")[1], "the first readings")
        await made.until(lambda: made.delivery("contract-one"), "the contract's status")
        delivery = made.delivery("contract-one")
        assert delivery["received"] == 3 and delivery["targets"][0]["delivered"] == 2
        made.relay.say(status("contract-one", "s1", received=9, delivered=2, trouble="it answers 503"))
        await made.until(lambda: made.state("one")[0] == "Error", "the trouble")
        assert made.state("one")[1] == f"2 readings delivered to 1 endpoint; {SINK}: it answers 503"


async def test_totals_go_on_over_restarts_of_the_relay_and_of_the_manager() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        made.relay.say(status("contract-one", "s1", received=3, delivered=2))
        await made.until(lambda: "2 readings delivered" in made.state("one")[1], "the first readings")
        made.relay.restart(forgets=True)
        made.relay.say(status("contract-one", "s1", received=1, delivered=1))
        made.relay.say(status("contract-one", "s1", received=1, delivered=1, trouble="it answers 503"))
        await made.until(lambda: made.state("one")[1].startswith("3 readings delivered"), "the sum")
        await made.kill()
        await made.start()
        made.relay.say(status("contract-one", "s1", received=5, delivered=4))
        await made.until(lambda: made.state("one")[1].startswith("6 readings delivered"), "the sum again")
        made.relay.restart(forgets=True)
        made.relay.say(status("contract-one", "s1", received=1, delivered=1, trouble="it answers 503"))
        await made.until(lambda: made.state("one")[1].startswith("7 readings delivered"), "the sum of three relays")
        await made.until(lambda: made.delivery("contract-one").get("received") == 9, "all that was received")
        assert made.delivery("contract-one")["earlier"]["received"] == 8


async def test_a_relay_that_starts_anew_is_told_everything_and_forgets_what_ended() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        for name in ("s1", "s2"):
            await made.flavor(name)
            await made.sell(name, name, SINK)
        await made.until(lambda: len(made.relay.have) == 2, "the routes")
        told = made.relay.puts
        made.relay.restart(forgets=True)
        await made.until(lambda: len(made.relay.have) == 2, "the routes again")
        assert made.relay.puts == told + 2
        await made.kill()
        await made.end("s1")
        await made.cluster.patch(kinds.ALLOCATION, "allocation-s1", {"metadata": {"finalizers": []}}, SPACE)
        await made.cluster.delete(kinds.ALLOCATION, "allocation-s1", SPACE)
        await made.start()
        await made.until(
            lambda: set(made.relay.have) == {"contract-s2"} and len(made.rules()) == 1, "what ended meanwhile"
        )


async def test_a_relay_that_fails_as_it_starts_anew_is_told_everything_all_the_same() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")
        made.relay.failing = 1
        made.relay.restart(forgets=True)
        await made.until(lambda: len(made.relay.have) == 1, "the route again")


async def test_a_route_that_is_told_while_old_ones_are_looked_for_stays() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: len(made.relay.have) == 1, "the route")
        sold = asyncio.Event()

        async def meanwhile() -> None:
            await made.sell("two", "s1", OTHER, buyer="b2")
            await made.until(lambda: "contract-two" in made.relay.have, "the new route")
            sold.set()

        made.relay.listing = meanwhile  # type: ignore[method-assign]
        made.relay.restart(forgets=False)
        await sold.wait()
        made.relay.say(status("contract-one", "s1", received=5, delivered=5))
        await made.until(lambda: "5 readings delivered" in made.state("one")[1], "what the relay says afterwards")
        assert set(made.relay.have) == {"contract-one", "contract-two"}


async def test_a_device_that_moves_to_another_node_takes_its_path_along() -> None:
    async with provider() as made:
        made.cloud.online.add("edge-b")
        await made.node()
        await made.node("edge-b")
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.cloud.delivers("sensor/s1"), "the path")
        await made.flavor("s1", node="edge-b")
        await made.until(lambda: made.cloud.delivers("sensor/s1", "edge-b"), "the path from the other node")
        await made.until(lambda: len(made.rules()) == 1, "the end of the old one")
        assert made.cloud.delivers("sensor/s1") is None


async def test_somebody_elses_rule_is_left_alone_and_named() -> None:
    async with provider() as made:
        await made.node()
        theirs = kinds.KUBEEDGE_RULE.new(
            "theirs", SPACE,
            spec={"source": "bus", "sourceResource": {"topic": "sensor/s1", "node_name": NODE}, "target": "rest",
                  "targetResource": {"resource": "http://telegraf/"}},
        )  # fmt: skip
        await made.cluster.create(theirs)
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: "rule theirs has the same source" in made.state("one")[1], "the sentence")
        assert [rule["metadata"]["name"] for rule in made.rules()] == ["theirs"]
        await made.cluster.delete(kinds.KUBEEDGE_RULE, "theirs", SPACE)
        await made.until(lambda: made.state("one")[0] == "Active", "the path")


async def test_commands_have_a_rule_while_somebody_may_send_them() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK, commands=True)
        await made.until(lambda: made.find(kinds.KUBEEDGE_RULE, "commands") is not None, "the rule")
        assert made.relay.have["contract-one"].commands
        await made.end("one")
        await made.until(lambda: not made.rules() and not made.api.list(kinds.RULE_ENDPOINT, SPACE), "its end")
        assert made.cloud.leaks == []


async def test_more_than_an_edge_node_can_send_is_told() -> None:
    async with provider() as made:
        await made.node()
        await made.start(budget=30.0)
        for uid in ("s1", "s2"):
            await made.flavor(uid, rate="20")
        await made.sell("one", "s1", SINK)
        await made.sell("same", "s1", OTHER)
        await made.until(lambda: made.state("same")[0] == "Active", "the path")
        assert "messageQPS" not in made.state("same")[1], "each reading leaves the edge once"
        await made.sell("two", "s2", SINK)
        await made.until(lambda: made.state("two")[0] == "Active", "the path")
        assert "edge node edge-a sends 30 messages a second and 40 were bought there" in made.state("two")[1]


async def test_a_contract_ends_when_it_says() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK, until="2001-01-01T00:00:00Z")
        await made.until(lambda: made.state("one")[0] == "Released", "the end")
        assert made.state("one")[1] == "its contract ended at 2001-01-01T00:00:00Z" and not made.relay.have


async def test_a_changed_or_deleted_rule_is_mended() -> None:
    async with provider() as made:
        await made.node()
        await made.start()
        await made.flavor("s1")
        await made.sell("one", "s1", SINK)
        await made.until(lambda: made.cloud.delivers("sensor/s1"), "the path")
        name, url = made.rules()[0]["metadata"]["name"], made.cloud.delivers("sensor/s1")
        await made.cluster.patch(
            kinds.KUBEEDGE_RULE, name, {"spec": {"targetResource": {"resource": "http://elsewhere/"}}}, SPACE
        )
        await made.until(
            lambda: made.rules() and made.rules()[0]["spec"]["targetResource"]["resource"] == url, "the rule"
        )
        await made.cluster.delete(kinds.KUBEEDGE_RULE, name, SPACE)
        await made.until(lambda: made.rules() and made.cloud.delivers("sensor/s1") == url, "the rule again")


@pytest.mark.parametrize("seed", seeds(2))
async def test_killed_at_any_moment_it_ends_with_exactly_the_paths_that_are_sold(seed: int) -> None:
    rng = random.Random(seed)
    async with provider() as made:
        await made.node()
        for number in range(4):
            await made.flavor(f"s{number}")
        await made.start()
        sold: dict[str, str] = {}
        for turn in range(24):
            action = rng.random()
            if action < 0.5 or not sold:
                uid = f"s{rng.randrange(4)}"
                sold[f"c{turn}"] = uid
                await made.sell(f"c{turn}", uid, SINK if rng.random() < 0.5 else OTHER)
            elif action < 0.75:
                name = rng.choice(sorted(sold))
                del sold[name]
                await made.end(name)
            else:
                await made.kill()
                if rng.random() < 0.5:
                    made.relay.restart(forgets=rng.random() < 0.5)
                await made.start()

        def settled() -> bool:
            topics = {rule["spec"]["sourceResource"]["topic"] for rule in made.rules()}
            return (
                set(made.relay.have) == {f"contract-{name}" for name in sold}
                and topics == {f"sensor/{uid}" for uid in sold.values()}
                and all(made.cloud.delivers(topic) for topic in topics)
            )

        await made.until(settled, "exactly the sold paths")
        assert made.cloud.leaks == [] and made.cloud.unfinished == []
        assert all(rule["metadata"]["labels"][ROUTER] == "continuo" for rule in made.rules())
