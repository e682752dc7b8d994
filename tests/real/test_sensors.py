"""Sold readings over real KubeEdge: from MQTT at an edge node to the buyers' servers, whatever is stopped on the way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import yaml

from continuo.edge.discovery.manager import EdgeResourceManager
from continuo.edge.discovery.settings import NODE_LABEL
from continuo.edge.node import IDENTITY
from continuo.edge.router.rules import endpoint
from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.meta import Object
from continuo.testbed.bed import Bed, Plan, no_containers
from continuo.testbed.edgenode import EdgeNode
from continuo.testbed.kubeedge import impossible
from continuo.testbed.simulated import is_ready
from continuo.testbed.waiting import until
from edge.router.edge_cluster import SPACE
from testbed.test_real_clusters import traces

from .conftest import asked_for
from .sensor_bed import SECONDS, Buyer, Shop, Site, buyers, shop

pytestmark = pytest.mark.anyio

SAMPLE = Path(__file__).parents[2] / "docs" / "samples" / "edge" / "stwin-v1beta1.yaml"


@pytest.fixture(scope="module")
async def bed(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    tools = asked_for()
    if reason := no_containers(tools) or impossible(tools):
        pytest.skip(f"edge nodes cannot run here: {reason}")
    folder = tmp_path_factory.mktemp("sensors")
    bed = await Bed.start(folder, Plan(("a",), containers=True, edge=1), tools=tools, registry=folder / "beds")
    try:
        yield bed
    finally:
        await bed.stop()
    assert traces(bed.place) == {}, "a bed that stopped leaves nothing"


@pytest.fixture(scope="module")
async def open_shop(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    assert bed.edge is not None and bed.network is not None
    api = bed.clusters["a"].client()
    addresses = {name: node.address for name, node in bed.edge.nodes.items()}
    try:
        async with shop(
            Site(api, bed.edge.cloud.address, bed.network.gateway, addresses), tmp_path_factory.mktemp("shop")
        ) as made:
            yield made
            await made.until_gone(kinds.KUBEEDGE_RULE, kinds.RULE_ENDPOINT)
    finally:
        await api.close()


@pytest.fixture
async def market(open_shop: Shop) -> AsyncIterator[Shop]:
    yield open_shop
    await open_shop.clear()


@pytest.fixture
async def pair(market: Shop) -> AsyncIterator[list[Buyer]]:
    async with buyers(market, "one", "two") as made:
        yield made


@pytest.fixture
def node(bed: Bed) -> EdgeNode:
    assert bed.edge is not None
    return bed.edge.nodes["edge-1"]


async def test_a_reading_leaves_the_edge_once_and_reaches_every_buyer_once(
    market: Shop, pair: list[Buyer], node: EdgeNode, record_property: Callable[[str, object], None]
) -> None:
    one, two = pair
    [first] = await market.sensors(1)
    await market.sell("one", first, one)
    await market.sell("two", first, two)
    for name in ("one", "two"):
        await market.until_state(name, "Active")
    [rule] = await market.rules(first)
    assert await market.subscribed(node) == {first}
    sent = await market.publish(first, 60, rate=20)
    for buyer in pair:
        await buyer.until(lambda buyer=buyer: len(buyer.posts) >= 60, "all readings")  # type: ignore[misc]
        assert sorted(buyer.numbers()) == sorted(sent)
    ids = [{post.number: post.headers["ce-id"] for post in buyer.posts} for buyer in pair]
    assert ids[0] == ids[1] and len(set(ids[0].values())) == 60
    headers = one.posts[0].headers
    expected = {
        "ce-specversion": "1.0", "ce-type": "dev.continuo.sensor.reading", "ce-source": f"/{SPACE}/edge-1/sensor/{first}",
        "ce-subject": first, "Content-Type": "application/json",
    }  # fmt: skip
    assert {name: headers.get(name) for name in expected} == expected
    took = sorted(1000 * (post.at - sent[post.number]) for buyer in pair for post in buyer.posts)
    told = f"MQTT to HTTP, milliseconds: p50 {took[60]:.1f}, p99 {took[118]:.1f}, most {took[119]:.1f}"
    record_property("latency", told)
    print(told)
    assert "60 readings delivered" in await market.until_state("one", "Active", "60 readings")
    await market.end("one")
    await market.until_state("one", "Released")
    assert [each["metadata"]["uid"] for each in await market.rules(first)] == [rule["metadata"]["uid"]]
    after = await market.publish(first, 5)
    await two.until(lambda: set(after) <= set(two.numbers()), "the other's readings")
    assert len(one.posts) == 60
    await market.end("two")
    await _unsubscribed(market, node, first)
    await market.until_gone(kinds.KUBEEDGE_RULE, kinds.RULE_ENDPOINT)
    await market.publish(first, 3)
    assert (len(one.posts), len(two.posts)) == (60, 65)


async def test_kubeedge_is_as_the_router_manager_takes_it_to_be(market: Shop, pair: list[Buyer]) -> None:
    one, two = pair
    api, space = market.cluster, "bare"
    await api.create(kinds.NAMESPACE.new(space))
    for name, type_ in (("bus", "eventbus"), ("out", "rest")):
        await api.create(endpoint(name, type_, space, "nobody"))

    def rule(name: str, buyer: Buyer) -> Object:
        source = {"topic": "sensor/s9", "node_name": "edge-1"}
        spec = {"source": "bus", "sourceResource": source, "target": "out", "targetResource": {"resource": buyer.url}}
        return kinds.KUBEEDGE_RULE.new(name, space, spec=spec)

    async def to_whom() -> set[str]:
        """Who gets a reading that is published now; gives it a second."""
        [number] = await market.publish("s9", space=space)
        await asyncio.sleep(1.0)
        return {name for name, buyer in (("one", one), ("two", two)) if number in buyer.numbers()}

    await api.create(rule("first", one))
    await market.until(to_whom, "the first reading")
    await api.patch(kinds.KUBEEDGE_RULE, "first", {"spec": rule("first", two)["spec"]}, space)
    assert await to_whom() == {"one"}, "a Rule that changes is not looked at"
    await api.create(rule("second", two))
    assert await to_whom() == {"two"}, "a second Rule takes the source over"
    await api.delete(kinds.KUBEEDGE_RULE, "second", space)
    assert await to_whom() == set(), "and takes it along when it goes, for the first one too"
    await api.delete(kinds.KUBEEDGE_RULE, "first", space)
    await api.create(rule("third", one))
    await market.until(to_whom, "a reading of the third")
    await api.delete(kinds.RULE_ENDPOINT, "bus", space)
    await api.delete(kinds.KUBEEDGE_RULE, "third", space)
    assert await to_whom() == {"one"}, "a Rule whose endpoint went before it goes on"


async def test_what_a_buyers_server_refuses_is_not_delivered_whatever_kubeedge_says(
    market: Shop, pair: list[Buyer]
) -> None:
    one, two = pair
    [first] = await market.sensors(1)
    await market.sell("one", first, one)
    await market.sell("two", first, two)
    await market.until_flows(first, one)
    one.status = 500
    sent = set(await market.publish(first))
    told = await market.until_state("one", "Error", "answered 500")
    assert one.url in told
    await two.until(lambda: sent <= set(two.numbers()), "the other buyer's reading")
    assert (await market.state("two"))[0] == "Active", "nobody else is hurt"
    [rule] = await market.rules(first)
    assert not rule.get("status"), "what CloudCore counts, and calls a success, reaches no Rule"
    one.status, before = 200, len(one.posts)
    await one.until(lambda: len(one.posts) > before, "the next attempt")
    assert set(one.numbers()[before:]) == sent
    await market.until_state("one", "Active")


async def test_a_rule_that_was_changed_or_deleted_by_hand_is_mended(market: Shop, pair: list[Buyer]) -> None:
    one, _ = pair
    [first] = await market.sensors(1)
    await market.sell("one", first, one)
    await market.until_flows(first, one)
    [rule] = await market.rules(first)
    name, body = rule["metadata"]["name"], {"spec": {"targetResource": {"resource": "http://192.0.2.1/"}}}
    await market.cluster.patch(kinds.KUBEEDGE_RULE, name, body, SPACE)
    await _is_made_anew(market, rule)
    await market.until_flows(first, one)
    [rule] = await market.rules(first)
    await market.cluster.delete(kinds.KUBEEDGE_RULE, name, SPACE)
    await _is_made_anew(market, rule)
    await market.until_flows(first, one)


async def test_commands_reach_the_device_of_whoever_bought_that(market: Shop, pair: list[Buyer]) -> None:
    one, two = pair
    first, second = await market.sensors(2)
    await market.sell("one", first, one, commands=True)
    await market.sell("two", first, two)
    for name in ("one", "two"):
        await market.until_state(name, "Active")
    assert market.relay is not None
    url = f"{market.relay.control_url}/commands"
    async with market.mqtt() as device, aiohttp.ClientSession() as http:
        await device.subscribe(f"commands/sensor/{first}", qos=1)

        async def brought() -> str | None:
            async with http.post(f"{url}/contract-one/{first}", data=b'{"led": true}') as answer:
                return None if answer.status == 200 else f"{answer.status} {await answer.text()}"

        await until(brought, "the command", SECONDS)
        async with asyncio.timeout(SECONDS):
            message = await anext(aiter(device.messages))
        assert (str(message.topic), message.payload) == (f"commands/sensor/{first}", b'{"led": true}')
        async with http.post(f"{url}/contract-two/{first}", data=b"{}") as answer:
            assert answer.status == 403 and "allows no commands" in await answer.text()
        async with http.post(f"{url}/contract-one/{second}", data=b"{}") as answer:
            assert answer.status == 404
    await market.end("one")
    await market.until(lambda: _has_gone(market, "commands"), "the end of the way back")


async def test_a_board_is_sold_from_its_device_on(market: Shop, pair: list[Buyer]) -> None:
    api, (one, _) = market.cluster, pair
    model, device = sorted(yaml.safe_load_all(SAMPLE.read_text(encoding="utf-8")), key=lambda each: -len(each["kind"]))
    device["spec"]["nodeName"] = "edge-1"
    identity = {"domain": "p.example", "nodeID": "p", "ip": "10.0.0.1", "port": "3004"}
    await api.create(kinds.CONFIG_MAP.new(IDENTITY, SPACE, data=identity))
    await api.patch(kinds.NODE, "edge-1", {"metadata": {"labels": {NODE_LABEL: "true"}}})
    finder = asyncio.create_task(EdgeResourceManager(api).run())
    try:
        await api.create(model)
        await api.create(device)

        async def offered() -> list[Object]:
            found = (await api.list(kinds.FLAVOR, "default", labels="continuo.dev/device=stwin-a")).items
            return list(found)

        await market.until(offered, "the flavors of the board")
        offer = min(await offered(), key=lambda each: str(each["metadata"]["name"]))
        characteristics = offer["spec"]["flavorType"]["typeData"]["characteristics"]
        await market.sell("board", characteristics["uid"], one, offer=offer)
        await market.until_flows("", one, topic=characteristics["access"]["resource"]["topic"])
        assert one.posts[-1].headers["ce-subject"] == characteristics["uid"]
        await api.delete(kinds.DEVICE, "stwin-a", "default")

        async def withdrawn() -> bool:
            return not await offered()

        await market.until(withdrawn, "the end of the flavors")
    finally:
        finder.cancel()
        await asyncio.gather(finder, return_exceptions=True)


async def test_the_relay_and_the_router_manager_come_back_to_what_they_left(market: Shop, pair: list[Buyer]) -> None:
    one, two = pair
    [first] = await market.sensors(1)
    await market.sell("one", first, one)
    await market.until_flows(first, one)
    [rule] = await market.rules(first)
    await market.close_manager()
    sent = set(await market.publish(first, 5))
    await one.until(lambda: sent <= set(one.numbers()), "readings without a Router Manager")
    await market.sell("two", first, two)
    await market.close_relay()
    await market.open_relay()
    sent = set(await market.publish(first, 5))
    await one.until(lambda: sent <= set(one.numbers()), "readings through a relay that remembers")
    await market.open_manager()
    await market.until_flows(first, two)
    [same] = await market.rules(first)
    assert same["metadata"]["uid"] == rule["metadata"]["uid"], "what flowed was never interrupted"


async def test_edgecore_that_was_killed_goes_on_sending(bed: Bed, market: Shop, pair: list[Buyer]) -> None:
    one, _ = pair
    [first] = await market.sensors(1)
    await market.sell("one", first, one)
    await market.until_flows(first, one)
    await asyncio.sleep(1.0)  # so that the rule is older than the last reading, of which both are told to the second
    await market.until_flows(first, one)
    [rule] = await market.rules(first)
    _kill(bed, "edgecore of edge-1")
    await market.until_flows(first, one)
    [same] = await market.rules(first)
    assert same["metadata"]["uid"] == rule["metadata"]["uid"], "it keeps what it subscribed to"


async def test_a_rule_made_while_its_node_is_away_works_when_it_is_back(
    bed: Bed, market: Shop, pair: list[Buyer], node: EdgeNode
) -> None:
    assert bed.edge is not None
    one, two = pair
    first, second = await market.sensors(2)
    await market.sell("one", first, one)
    await market.until_flows(first, one)
    await node.pause()
    await market.sell("two", second, two)
    await market.until_state("two", "Active")  # nobody has missed the node yet
    before = [rule["metadata"]["uid"] for rule in await market.rules(first, second)]
    await node.resume(bed.edge.cloud)
    assert is_ready(await market.cluster.get(kinds.NODE, "edge-1")), "it was Ready all the time"
    await market.until_flows(second, two, 20.0)  # a silent source is looked after in 30 s at the earliest
    after = [rule["metadata"]["uid"] for rule in await market.rules(first, second)]
    assert len(set(before) | set(after)) > len(before)


async def test_a_node_that_was_missed_is_told_of_everything_when_it_is_back(
    bed: Bed, market: Shop, pair: list[Buyer], node: EdgeNode
) -> None:
    assert bed.edge is not None
    one, two = pair
    first, second, third = await market.sensors(3)
    await market.sell("one", first, one)
    await market.sell("ends", third, two)
    await market.until_flows(first, one)
    await market.until_flows(third, two)
    await node.pause()
    await market.until_state("one", "Provisioning", "edge node edge-1 is not ready")
    await market.sell("two", second, two)
    await market.until_state("two", "Provisioning", "edge node edge-1 is not ready")
    await market.end("ends")
    await market.until_state("ends", "Released")
    assert len(await market.rules(first, second, third)) == 3, (
        "the node would go on sending what it is not told to leave"
    )
    await node.resume(bed.edge.cloud)
    await market.until_flows(second, two)
    await market.until_flows(first, one)
    await _unsubscribed(market, node, third)
    assert len(await market.rules(first, second, third)) == 2


async def test_what_is_published_while_cloudcore_is_away_comes_when_it_is_back(
    bed: Bed, market: Shop, pair: list[Buyer], node: EdgeNode
) -> None:
    one, two = pair
    first, second, third = await market.sensors(3)
    await market.sell("one", first, one)
    await market.sell("ends", third, two)
    await market.until_flows(first, one)
    await market.until_flows(third, two)
    _kill(bed, "cloudcore of a")
    await market.end("ends")
    await market.sell("two", second, two)
    sent = set(await market.publish(first, 20, rate=10))
    await market.until_flows(first, one)
    await one.until(lambda: len(sent - set(one.numbers())) <= 1, "all but what was on its way")
    assert len(one.numbers()) == len(set(one.numbers())), "nothing comes twice"
    await market.until_flows(second, two)
    await _unsubscribed(market, node, third)


# --- what is waited for -----------------------------------------------------------------------------------------------
async def _unsubscribed(market: Shop, node: EdgeNode, uid: str) -> None:
    async def gone() -> str | None:
        found = await market.subscribed(node)
        return f"it sends {sorted(found)}" if uid in found else None

    await until(gone, f"the end of what {node.name} sends of {uid}", SECONDS)


async def _is_made_anew(market: Shop, rule: Object) -> None:
    async def anew() -> str | None:
        try:
            found = await market.cluster.get(kinds.KUBEEDGE_RULE, rule["metadata"]["name"], SPACE)
        except NotFound:
            return "it is gone"
        if found["metadata"]["uid"] == rule["metadata"]["uid"]:
            return "it is the one that it was"
        return None if found["spec"] == rule["spec"] else f"it says {found['spec']}"

    await until(anew, f"rule {rule['metadata']['name']}", SECONDS)


async def _has_gone(market: Shop, rule: str) -> bool:
    return rule not in await market.names(kinds.KUBEEDGE_RULE)


def _kill(bed: Bed, name: str) -> None:
    """Kill a program, behind the commands that entered a host or a network namespace."""
    pid = bed.crew.pids()[name]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    os.kill(int(children[0]) if children else pid, signal.SIGKILL)
