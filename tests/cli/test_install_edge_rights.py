"""The rights that `continuo install --edge` prints, for real: a seller and a buyer trade on them, and need them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from continuo.cli.edge_manifests import EDGE, Edge
from continuo.cli.manifests import Setup, install_objects
from continuo.edge.node import NodeIdentity
from continuo.edge.rear.client import Sellers
from continuo.edge.relay.model import Delivered, RouteStatus
from continuo.edge.site import Partners, Settings, Site, introduce
from continuo.embedded.http.rbac import Attributes, Authorizer
from continuo.embedded.http.wire import User
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.errors import Forbidden
from continuo.resources.meta import Object
from edge.rear.gateway import serving
from edge.rear.rear_world import SPACE, World, settled, world
from edge.rear.test_buyer import know, solver, status
from edge.router.edge_cluster import Relay
from edge.sensors.descriptions import encoded, fork

SINK = "https://sink.consumer.eu:4487/in"
USER = f"system:serviceaccount:continuo-system:{EDGE}"
SELLS = Edge("p.example", node=NodeIdentity("p.example", "p1", "127.0.0.1:3004"), buy=False)
BUYS = Edge("b.example", node=NodeIdentity("b.example", "b1", "127.0.0.1:3005"), sell=False)
Right = tuple[str, str, str, str]
"""Cluster, verb, group, resource."""

RARE: dict[str, set[tuple[str, str]]] = {
    "provider": {
        ("get", "allocations"),  # what somebody else has made meanwhile, or we before we were killed, is read
        ("patch", "secrets"),  # who reserves again may name other credentials
        ("patch", "transactions"),  # and holds it for longer
        ("patch", "events"),  # one that happens again
    },
    "consumer": {
        ("patch", "solvers"),  # of which it is counted how often something was tried
        ("get", "allocations"),  # as above
        ("get", "contracts"),
        ("get", "discoveries"),
        ("get", "peeringcandidates"),
        ("get", "reservations"),
        ("get", "transactions"),  # of a Reservation that is deleted before its answer was noted
        ("patch", "transactions"),
        ("patch", "discoveries"),  # of a Discovery that subscribes
        ("patch", "peeringcandidates"),  # a flavor that is gone, or has changed
        ("delete", "reservations"),  # one that failed, before the next candidate is tried
    },
}
"""What this trade need not come to: verb and resource, by the cluster of the account."""


async def resolve(_host: str, _port: int) -> list[str]:
    return ["93.184.216.34"]


async def install(cluster: KubeCluster, edge: Edge) -> None:
    for obj in install_objects(Setup("continuo:test", operator=False, edge=edge), crds=False):
        await cluster.apply(obj, manager="installer")


def account(made: World, cluster: str) -> KubeCluster:
    text = made.engine.kubeconfig(cluster, user=USER, groups=("system:serviceaccounts",))
    return connect(text, name=cluster)


@asynccontextmanager
async def site(cluster: KubeCluster, edge: Edge, partners: Partners) -> AsyncIterator[Site]:
    """What `continuo edge serve` runs."""
    node = await introduce(cluster, None, edge.namespace)
    assert node == edge.node
    settings = Settings(edge.namespace, sells=edge.sell, buys=edge.buy, discovers=edge.sell)
    running = Site(cluster, node, settings, partners)
    work = asyncio.create_task(running.run())
    try:
        await asyncio.wait_for(running.ready.wait(), 20)
        yield running
        assert not work.done()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def an_edge(provider: KubeCluster) -> None:
    """A node, and a board behind it: one sensor is described well."""
    labels = {"node-role.fluidos.eu/sensors": "true"}
    held = {"cloudcore": "2026-01-01T00:00:00Z"}  # as KubeEdge notes it
    await provider.create(kinds.NODE.new("edge-a", metadata={"labels": labels, "annotations": held}))
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    await provider.patch(kinds.NODE, "edge-a", {"status": {"conditions": ready}}, subresource="status")
    notes = {"sensors": encoded([fork()])}
    spec = {"nodeName": "edge-a", "protocol": {"protocolName": "bluetooth"}}
    await provider.create(kinds.DEVICE.new("board", SPACE, metadata={"annotations": notes}, spec=spec))


async def describe(provider: KubeCluster, *sensors: Any) -> None:
    said = {"metadata": {"annotations": {"sensors": encoded(list(sensors))}}}
    await provider.patch(kinds.DEVICE, "board", said, SPACE)


def flavors(made: World) -> list[Object]:
    return made.objects("provider", kinds.FLAVOR)


async def trade(made: World, provider: KubeCluster, consumer: KubeCluster, relay: Relay) -> None:
    """A sensor is found, sold and delivered; it changes, one beside it is described wrongly; then none is there."""
    await settled(lambda: len(flavors(made)) == 1)
    await consumer.create(kinds.SECRET.new("sink", SPACE, stringData={"token": "hunter2"}))
    proof = {"scheme": "bearer", "secretRef": {"name": "sink", "key": "token"}}
    await consumer.create(solver(endpoints=[{"url": SINK, "authentication": proof}]))
    await settled(lambda: status(made).get("consumePhase") == "Running" and bool(relay.have))
    (name,) = relay.have
    await settled(lambda: bool(made.objects("provider", kinds.KUBEEDGE_RULE)))
    target = Delivered(url=SINK, delivered=3, bytes=9, failed=0, dead=0, queued=0, dropped=0)
    relay.say(RouteStatus(name=name, received=3, last_received=None, flows=(), targets=(target,)))
    await settled(lambda: "delivery" in made.objects("consumer", kinds.FLUIDOS_CONTRACT)[0].get("status", {}))
    await describe(provider, fork(latency="13"), fork("wrong", latency="13 mW"))
    await settled(lambda: "13" in str(flavors(made)[0]["spec"]["flavorType"]))
    await settled(lambda: "wrong" not in str(flavors(made)) and bool(made.objects("provider", kinds.EVENT)))
    await consumer.delete(kinds.SOLVER, "humid", SPACE)
    await settled(lambda: not made.objects("consumer", kinds.FLUIDOS_CONTRACT))
    await describe(provider)
    left = (kinds.FLAVOR, kinds.FLUIDOS_CONTRACT, kinds.ALLOCATION, kinds.TRANSACTION, kinds.SECRET,
            kinds.KUBEEDGE_RULE, kinds.RULE_ENDPOINT)  # fmt: skip
    await settled(lambda: not any(made.objects("provider", kind) for kind in left))
    assert not relay.have


def granted() -> set[Right]:
    found = set()
    for cluster, edge in (("provider", SELLS), ("consumer", BUYS)):
        for obj in install_objects(Setup("continuo:test", operator=False, edge=edge), crds=False):
            for each in obj.get("rules") or ():
                found |= {
                    (cluster, verb, each["apiGroups"][0], what) for verb in each["verbs"] for what in each["resources"]
                }
    return found


def test_a_sensor_is_sold_on_these_rights_and_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[Right] = set()
    refused: set[Right] = set()
    decide = Authorizer.allowed

    def noted(self: Authorizer, user: User, wanted: Attributes) -> bool:
        said = decide(self, user, wanted)
        if user.name == USER and not wanted.path:
            (used if said else refused).add((self._api.name, wanted.verb, wanted.group, wanted.resource))
        return said

    monkeypatch.setattr(Authorizer, "allowed", noted)

    async def main() -> None:
        async with world() as made:
            provider, consumer = made.make("provider"), made.make("consumer")
            await install(provider, SELLS)
            await install(consumer, BUYS)
            await an_edge(provider)
            relay, sellers = Relay(), Sellers()
            seller, buyer = account(made, "provider"), account(made, "consumer")
            async with (
                site(seller, SELLS, Partners(relay=relay, resolve=resolve)) as selling,
                site(buyer, BUYS, Partners(sellers=sellers)),
            ):
                assert selling.seller is not None
                async with serving(selling.seller) as gateway:
                    await know(consumer, gateway)
                    await trade(made, provider, consumer, relay)
            for each in (sellers, seller, buyer):
                await each.close()

    asyncio.run(main())
    assert refused == set()
    unused = {(cluster, verb, what) for cluster, verb, _, what in granted() - used}
    assert unused <= {(cluster, *each) for cluster, rights in RARE.items() for each in rights}


async def denied(*calls: Awaitable[object]) -> None:
    for call in calls:
        with pytest.raises(Forbidden):
            await call


def test_a_site_may_do_nothing_else() -> None:
    async def main() -> None:
        async with world() as made:
            await install(made.make("provider"), SELLS)
            await install(made.make("consumer"), BUYS)
            seller, buyer = account(made, "provider"), account(made, "consumer")
            flavor = kinds.FLAVOR.new("f", "default", spec={})
            await denied(
                seller.list(kinds.SECRET, "default"),
                seller.list(kinds.SECRET),
                seller.list(kinds.CONFIG_MAP, SPACE),
                seller.get(kinds.CONFIG_MAP, "other", SPACE),
                seller.patch(kinds.CONFIG_MAP, "fluidos-node-identity", {"data": {}}, SPACE),
                seller.patch(kinds.NODE, "edge-a", {"metadata": {"labels": {}}}),
                seller.create(kinds.DEVICE.new("d", SPACE, spec={})),
                seller.delete(kinds.DEVICE, "d", SPACE),
                seller.create(kinds.KUBEEDGE_RULE.new("r", "default", spec={})),
                seller.patch(kinds.KUBEEDGE_RULE, "r", {"spec": {}}, SPACE),
                seller.list(kinds.LEASE, "kube-node-lease"),
                seller.create(kinds.SOLVER.new("s", SPACE, spec={})),
                seller.create(kinds.NAMESPACE.new("x")),
                seller.list(kinds.POD),
                buyer.list(kinds.SECRET, SPACE),
                buyer.get(kinds.SECRET, "sink", "default"),
                buyer.create(flavor),
                buyer.list(kinds.FLAVOR),
                buyer.list(kinds.NODE),
                buyer.list(kinds.DEVICE, SPACE),
                buyer.create(kinds.SOLVER.new("s", SPACE, spec={})),
                buyer.delete(kinds.FLUIDOS_CONTRACT, "c", SPACE),
                buyer.create(kinds.KUBEEDGE_RULE.new("r", SPACE, spec={})),
            )
            for each in (seller, buyer):
                await each.close()

    asyncio.run(main())
