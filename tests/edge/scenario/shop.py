"""Everything that the sensors' demo starts as processes, in one event loop: engine, brokers, mappers, relay and sites."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from continuo.cli.demo_ending import end
from continuo.cli.host import Host
from continuo.cli.sensors_demo import market, mosquitto, scene
from continuo.cli.sensors_demo.market import Buyer
from continuo.cli.sensors_demo.receivers import Receivers, receiving
from continuo.cli.sensors_demo.trust import Trust, trusting
from continuo.edge.discovery.settings import Settings as DiscoverySettings
from continuo.edge.listening import Face, Place
from continuo.edge.mapper.buffer import Buffer
from continuo.edge.mapper.driver import Simulated
from continuo.edge.mapper.manifests import devices_of
from continuo.edge.mapper.mapper import Clock, Mapper
from continuo.edge.mapper.model import parse, sources
from continuo.edge.mapper.publisher import Publisher
from continuo.edge.mapper.vouching import Vouching
from continuo.edge.mqtt.address import Address
from continuo.edge.mqtt.embedded import EmbeddedBroker
from continuo.edge.node import NodeIdentity
from continuo.edge.rear.client import Sellers
from continuo.edge.relay.client import RelayClient
from continuo.edge.relay.relay import Settings as RelaySettings
from continuo.edge.relay.service import Options, RelayService
from continuo.edge.router.desk import Settings as RouterSettings
from continuo.edge.router.egress import Policy, networks
from continuo.edge.router.pulse import LEASE, SPACE
from continuo.edge.site import Partners, Settings, Site, introduce
from continuo.embedded.standins.bare import Bare
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.crds import edge_crds
from continuo.server.identity import uvicorn_options
from continuo.server.rear_app import create_rear_app
from continuo.trust.gateway import Delegated
from continuo.trust.http import PeerConnector
from continuo.trust.ids import Authorized, parse_id
from continuo.trust.issuer.generations import Policy as Lives
from continuo.trust.workload_api import VARIABLE

PARTIES = (scene.PROVIDER, scene.FIRST, scene.SECOND)
WAIT = 30.0


@dataclass
class Shop:
    folder: Path
    trust: Trust
    stack: AsyncExitStack
    clusters: dict[str, KubeCluster] = field(default_factory=dict)
    brokers: dict[str, Address] = field(default_factory=dict)
    relay: RelayService = field(init=False)
    receivers: Receivers = field(init=False)
    gateway: str = ""

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """In the background until the end of the test."""
        task = asyncio.create_task(work)

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.stack.push_async_callback(stop)

    async def beat(self) -> None:
        """The edge nodes are heard of, as kubelets are: by their leases."""
        provider = self.clusters[scene.PROVIDER]
        while True:
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            for edge in scene.EDGES:
                await provider.patch(LEASE, edge, {"spec": {"renewTime": now}}, SPACE, manager="kubelet")
            await asyncio.sleep(0.25)

    async def buyer(self, party: str) -> Buyer:
        identity = await self.trust.identity(scene.buyer_id(party))
        return await self.stack.enter_async_context(market.buying(party, identity, self.gateway))


@asynccontextmanager
async def shop(folder: Path, broker: str, lives: Lives | None = None) -> AsyncIterator[Shop]:
    """All of it, with boards that nobody has told the provider's cluster of yet. `lives`: of what issuers sign."""
    async with AsyncExitStack() as stack:
        made = Shop(folder, await stack.enter_async_context(trusting(lives)), stack)
        identities = {party: await made.trust.identity(scene.receiver_id(party)) for party in PARTIES[1:]}
        made.receivers = await stack.enter_async_context(receiving(dict(identities), scene.RELAY_ID))
        await _clusters(made)
        for edge in scene.EDGES:
            await _broker(made, edge, broker)
        await _relay(made)
        for edge in scene.EDGES:
            await _mapper(made, edge)
        await _provider(made)
        for party in PARTIES[1:]:
            await _consumer(made, party)
        yield made


async def _clusters(made: Shop) -> None:
    nodes = (2, 1, 1)
    host = Host(None, port=0, seed=1, clusters=[Bare(name, n) for name, n in zip(PARTIES, nodes, strict=True)])
    await host.start()
    made.stack.push_async_callback(host.stop)
    for party in PARTIES:
        cluster = made.clusters[party] = connect(host.kubeconfig(), context=party, name=party)
        made.stack.push_async_callback(cluster.close)
        for definition in edge_crds():
            await cluster.apply(definition, manager="test")
        await cluster.apply(kinds.NAMESPACE.new(scene.SPACE), manager="test")
    for edge in scene.EDGES:
        labels = {"metadata": {"labels": scene.SENSING}}
        await made.clusters[scene.PROVIDER].patch(kinds.NODE, edge, labels, manager="test")


async def _broker(made: Shop, edge: str, broker: str) -> None:
    if broker == "mosquitto":
        made.brokers[edge] = address = Address("127.0.0.1", _free())
        pid = mosquitto.start(made.folder, edge, address.port)
        made.stack.callback(end, [pid], 5.0)
    else:
        embedded = await made.stack.enter_async_context(EmbeddedBroker())
        made.brokers[edge] = embedded.address


async def _mapper(made: Shop, edge: str) -> None:
    """As `continuo mapper --delegations`: nothing is published before the relay knows who speaks for the boards."""
    said = parse(scene.boards(edge), edge)
    found, clock = sources(devices_of(said), said), Clock(time.monotonic, time.time)
    buffer = Buffer(made.folder / f"{edge}.sqlite")
    await buffer.open()
    made.stack.push_async_callback(buffer.close)
    publisher = Publisher(buffer, made.brokers[edge], "", clock.mono, random.Random(1))
    mapper = Mapper(found, Simulated(found, said.seed, clock.mono), buffer, clock=clock, more=publisher.more)
    vouching = await _vouching(made, edge)
    await made.run(vouching.run())
    async with asyncio.timeout(WAIT):
        await vouching.begun.wait()
    await made.run(publisher.run())
    await made.run(mapper.run())


async def _vouching(made: Shop, edge: str) -> Vouching:
    name, boards = scene.gateway_id(edge), scene.board_ids(edge).values()
    identity = await made.trust.identity(name)
    connector = PeerConnector(identity.client_context(Authorized.of(ids=[scene.RELAY_ID])))
    http = await made.stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    issuer = Delegated((await made.trust.door(name, boards))[VARIABLE])
    made.stack.push_async_callback(issuer.close)
    return Vouching(
        dict.fromkeys(boards), issuer, RelayClient(made.relay.control_url, http), parse_id(scene.RELAY_ID),
        clock=time.time, rng=random.Random(1),
    )  # fmt: skip


async def _relay(made: Shop) -> None:
    identity = await made.trust.identity(scene.RELAY_ID)
    options = Options(
        made.folder / "relay", mqtt=[(edge, address) for edge, address in made.brokers.items()], drain=0.2,
        settings=RelaySettings(require_delegation=True),
        managers=Authorized.of(ids=[scene.site_id(scene.PROVIDER)]),
        control_tls=uvicorn_options(identity, lambda _: True),
    )  # fmt: skip
    made.relay = await made.stack.enter_async_context(RelayService(options, identity=identity))


async def _provider(made: Shop) -> None:
    identity = await made.trust.identity(scene.site_id(scene.PROVIDER))
    connector = PeerConnector(identity.client_context(Authorized.of(ids=[scene.RELAY_ID])))
    http = await made.stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    router = RouterSettings(policy=Policy(networks(["127.0.0.1/32"])))
    partners = Partners(relay=RelayClient(made.relay.control_url, http))
    node = NodeIdentity(scene.domain(scene.PROVIDER), scene.PROVIDER, "127.0.0.1:9")
    await introduce(made.clusters[scene.PROVIDER], node)
    discovery = DiscoverySettings(trust_domain=identity.spiffe_id.trust_domain)
    settings = Settings(buys=False, router=router, discovery=discovery)
    site = Site(made.clusters[scene.PROVIDER], node, settings, partners)
    assert site.seller is not None
    admitted = Authorized.of(domains=[scene.domain(party) for party in PARTIES[1:]])
    face = Face(create_rear_app(site.seller, runs=True), Place(), uvicorn_options(identity, admitted))
    await face.start()
    made.stack.push_async_callback(face.stop)
    made.gateway = face.url
    await made.run(site.run())
    await site.ready.wait()


async def _consumer(made: Shop, party: str) -> None:
    identity = await made.trust.identity(scene.site_id(party))
    context = identity.client_context(Authorized.of(ids=[scene.site_id(scene.PROVIDER)]))
    sellers = Sellers(lambda: context)
    made.stack.push_async_callback(sellers.close)
    await made.clusters[party].apply(scene.known_cluster(made.gateway.removeprefix("https://")), manager="test")
    node = NodeIdentity(scene.domain(party), party, "127.0.0.1:9")
    await introduce(made.clusters[party], node)
    site = Site(made.clusters[party], node, Settings(sells=False, discovers=False), Partners(sellers=sellers))
    await made.run(site.run())


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


BROKERS = [
    pytest.param("mosquitto", marks=pytest.mark.skipif(mosquitto.where() is None, reason="no mosquitto is installed")),
    "embedded",
]
