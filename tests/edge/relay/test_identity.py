"""Mutual TLS both ways: the relay proves itself to targets and goes on only with the ID that the buyer named."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from continuo.edge.relay.client import RelayClient
from continuo.edge.relay.model import Authentication, Scheme, Target
from continuo.resources.errors import Forbidden, Unreachable
from continuo.server.identity import uvicorn_options
from continuo.trust.http import PeerConnector
from continuo.trust.ids import Authorized, parse_id
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.local import LocalIdentity

from . import bed

pytestmark = pytest.mark.anyio

RELAY, MANAGER = (
    "spiffe://edge.example/ns/fluidos/sa/sensor-relay",
    "spiffe://edge.example/ns/fluidos/sa/router-manager",
)
BUYER = "spiffe://edge.example/buyer"


@pytest.fixture
def issuer() -> Issuer:
    return Issuer("edge.example")


def identity(issuer: Issuer, name: str) -> LocalIdentity:
    return LocalIdentity(issuer, parse_id(name))


async def tls_target(buyer: bed.Target_, context: ssl.SSLContext) -> AsyncIterator[None]:
    server = await asyncio.start_server(buyer.serve, "127.0.0.1", 0, ssl=context)
    buyer.url = f"https://buyer.example:{server.sockets[0].getsockname()[1]}/in"
    try:
        yield
    finally:
        server.close()


async def test_readings_go_to_the_named_identity_only_and_survive_rotation(issuer: Issuer) -> None:
    own, theirs = identity(issuer, RELAY), identity(issuer, BUYER)
    relay = bed.a_relay(identity=own)
    buyer = bed.Target_()
    async for _ in tls_target(buyer, theirs.server_context(Authorized.of(ids=[RELAY]))):
        for name, wanted in (("a", BUYER), ("b", "spiffe://edge.example/somebody-else")):
            how = Authentication(scheme=Scheme.SPIFFE, spiffe_id=wanted)
            targets = (Target(url=buyer.url, addresses=("127.0.0.1",), authentication=how),)
            await relay.put(bed.route(name, targets=targets))
        for number in range(30):
            relay.accept(bed.source(), bed.reading(number), "http")
            if number % 10 == 5:
                own.rotate()
                theirs.rotate()
            await buyer.until(number + 1)
        refused = relay.status("b")
        assert refused is not None and relay.routes["a"].paths[buyer.url].figures.failed == 0
        await bed.settled(relay, lambda: relay.routes["b"].paths[buyer.url].figures.failed > 0)
        assert relay.routes["b"].paths[buyer.url].figures.delivered == 0
        assert "certificate" in relay.routes["b"].paths[buyer.url].figures.trouble
        await relay.stop()
    assert bed.sequences(buyer.bodies) == list(range(30)) and buyer.connections > 1


async def test_a_certificate_of_nobody_is_refused(issuer: Issuer) -> None:
    """What is only https is verified as the web does it, by name and by known authorities."""
    theirs, buyer = identity(issuer, BUYER), bed.Target_()
    context = theirs.server_context(lambda _: True)
    async for _ in tls_target(buyer, context):
        async with bed.relaying(bed.route("a", targets=(Target(url=buyer.url, addresses=("127.0.0.1",)),))) as relay:
            relay.accept(bed.source(), b"secret", "http")
            figures = relay.routes["a"].paths[buyer.url].figures
            await bed.settled(relay, lambda figures=figures: figures.failed > 0)
            assert "certificate is refused" in figures.trouble
    assert buyer.seen == []


async def test_the_control_api_is_for_the_router_manager(tmp_path: Path, issuer: Issuer) -> None:
    own = identity(issuer, RELAY)
    service = bed.service(
        tmp_path,
        managers=Authorized.of(ids=[MANAGER]),
        control_tls=uvicorn_options(own, lambda _: True, sockets="none"),
    )
    async with service:
        assert service.control_url.startswith("https://")
        only_relay = Authorized.of(ids=[RELAY])
        for name, allowed in ((MANAGER, True), (BUYER, False)):
            context = identity(issuer, name).client_context(only_relay)
            async with aiohttp.ClientSession(connector=PeerConnector(context)) as http:
                client = RelayClient(service.control_url, http)
                if allowed:
                    await client.put_route(bed.route("a", "http://127.0.0.1:9/x"))
                    assert (await anext(client.follow())).instance == service.relay.instance
                else:
                    with pytest.raises(Forbidden, match="may not control"):
                        await client.routes()
        stranger = identity(Issuer("other.example"), "spiffe://other.example/x").client_context(only_relay)
        async with aiohttp.ClientSession(connector=PeerConnector(stranger)) as http:
            with pytest.raises(Unreachable):
                await RelayClient(service.control_url, http).routes()
