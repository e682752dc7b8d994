"""Connections as libraries make them: asyncio, uvloop, WebSockets, threads with sockets; and when they end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import uvloop

from continuo.server.identity import SpiffeHttp
from continuo.trust.ids import Authorized
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.local import LocalIdentity
from continuo.trust.svid import Svid
from trust.site import ask, asking, served

pytestmark = pytest.mark.anyio
ALL = Authorized.of(domains=["a.example", "b.example"])
LOOPS: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}


def forged(issuer: Issuer, spiffe_id: str, *, by: Issuer) -> LocalIdentity:
    """That ID, issued by another trust domain's authority."""
    made = issuer.identity(spiffe_id)
    made.take(by.authorities[0].svid(made.spiffe_id, datetime.now(UTC), timedelta(hours=1)), made.bundles)
    return made


def friends() -> tuple[Issuer, Issuer]:
    a, b = Issuer("a.example"), Issuer("b.example")
    a.federate("b.example", b.bundle())
    b.federate("a.example", a.bundle())
    return a, b


@pytest.mark.parametrize("loop", LOOPS)
def test_a_forged_peer_gets_no_byte_of_an_answer_in_either_loop(loop: str) -> None:
    """And the request of an honest client is not sent to a forged server."""

    async def scene() -> None:
        a, b = friends()
        server, honest = a.identity("spiffe://a.example/s"), b.identity("spiffe://b.example/c")
        thief, trap = forged(a, "spiffe://a.example/x", by=b), forged(a, "spiffe://a.example/s", by=b)
        async with served(server, ALL) as service, asking(honest, ALL) as good, asking(thief, ALL) as bad:
            assert await ask(good, service) == "spiffe://b.example/c"
            with pytest.raises(aiohttp.ClientError):
                await ask(bad, service)
            assert service.answered == 1
        async with served(trap, ALL) as service, asking(honest, ALL) as good:
            with pytest.raises(aiohttp.ClientConnectorError, match="no authority of"):
                await ask(good, service)
            assert service.answered == 0

    LOOPS[loop](scene())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_without_a_certificate_is_not_let_in_in_either_loop(loop: str) -> None:
    async def scene() -> None:
        a, _ = friends()
        plain = ssl.create_default_context()
        plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
        async with served(a.identity("spiffe://a.example/s"), ALL) as service, aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(service.url, ssl=plain)
            with pytest.raises(aiohttp.ClientError):
                await session.get(service.url.replace("https", "http"))
            assert service.answered == 0

    LOOPS[loop](scene())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_ends_when_its_peer_is_believed_no_longer_in_either_loop(loop: str) -> None:
    async def scene() -> None:
        a, b = friends()
        async with (
            a.identity("spiffe://a.example/s") as server,
            b.identity("spiffe://b.example/c") as client,
            served(server, ALL) as service,
            asking(client, ALL) as session,
        ):
            waiting = asyncio.create_task(ask(session, service, "/slow"))
            await service.begun.wait()
            a.defederate("b.example")
            with pytest.raises(aiohttp.ClientError):
                await waiting
            a.federate("b.example", b.bundle())
            assert await ask(session, service) == "spiffe://b.example/c"
            waiting = asyncio.create_task(ask(session, service, "/slow"))
            service.begun.clear()
            await service.begun.wait()
            b.defederate("a.example")  # the client's end
            with pytest.raises(aiohttp.ClientError):
                await waiting

    LOOPS[loop](scene())


async def test_a_stolen_authority_is_dropped_and_what_it_signed_with_it() -> None:
    a, b = friends()
    async with a.identity("spiffe://a.example/s") as server, b.identity("spiffe://b.example/c") as client:
        thief = a.identity("spiffe://a.example/thief")
        thief.take(thief.svid, thief.bundles)
        async with served(server, ALL) as service, asking(client, ALL) as session, asking(thief, ALL) as bad:
            assert await ask(bad, service) == "spiffe://a.example/thief"
            a.prepare()
            b.federate("a.example", a.bundle())
            a.activate()
            a.drop_older()
            b.federate("a.example", a.bundle())
            with pytest.raises(aiohttp.ClientError):
                await ask(bad, service)
            assert await ask(session, service) == "spiffe://b.example/c"


def short(issuer: Issuer, spiffe_id: str, seconds: float) -> LocalIdentity:
    """An identity that ends soon, and is not renewed until told."""
    made = issuer.identity(spiffe_id)
    life = timedelta(seconds=seconds)
    now = datetime.now(UTC)
    svid: Svid = issuer.authorities[0].svid(made.spiffe_id, now, life)
    made.take(svid, made.bundles)
    return made


async def test_a_request_under_way_outlives_its_svid_and_its_connection_does_not() -> None:
    a, b = friends()
    server, client = a.identity("spiffe://a.example/s"), short(b, "spiffe://b.example/c", 2)
    async with served(server, ALL) as service, asking(client, ALL) as session:
        waiting = asyncio.create_task(session.get(service.url + "/slow"))
        await service.begun.wait()
        left = (client.svid.until - datetime.now(UTC)).total_seconds()
        asyncio.get_running_loop().call_later(left + 0.2, service.go.set)
        async with await waiting as answer:
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
        client.take(b.svid(client.spiffe_id), client.bundles)
        assert await ask(session, service) == "spiffe://b.example/c"


async def test_an_idle_connection_is_closed_when_its_svid_ends() -> None:
    a, b = friends()
    server, client = a.identity("spiffe://a.example/s"), short(b, "spiffe://b.example/c", 2)
    async with served(server, ALL) as service:
        host, port = service.url.removeprefix("https://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=client.client_context(ALL))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            said = await reader.read()  # until the server closes
        assert said.startswith(b"HTTP/1.1 200") and said.count(b"HTTP/1.1") == 1
        assert datetime.now(UTC) >= client.svid.until
        writer.close()


async def test_websockets_know_their_peer_and_end_with_its_trust() -> None:
    a, b = friends()
    async with (
        a.identity("spiffe://a.example/s") as server,
        b.identity("spiffe://b.example/c") as client,
        served(server, ALL) as service,
        asking(client, ALL) as session,
        session.ws_connect(service.url) as face,
    ):
        assert (await face.receive_str()) == "spiffe://b.example/c"
        a.defederate("b.example")
        assert (await face.receive(timeout=10)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_sockets_in_threads_are_looked_at_in_the_same_way() -> None:
    """As paho has it: a blocking socket, wrapped, then the handshake."""
    a, b = friends()
    server, honest = a.identity("spiffe://a.example/s"), b.identity("spiffe://b.example/c")
    trap = forged(a, "spiffe://a.example/s", by=b)
    import socket

    def get(identity: LocalIdentity, url: str) -> bytes:
        host, port = url.removeprefix("https://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            context = identity.client_context(ALL)
            with context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False) as wrapped:
                wrapped.do_handshake()
                wrapped.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return wrapped.recv(4096)

    async with served(server, ALL) as service:
        assert (await asyncio.to_thread(get, honest, service.url)).startswith(b"HTTP/1.1 200")
    async with served(trap, ALL) as service:
        with pytest.raises(ssl.SSLError, match="no authority"):
            await asyncio.to_thread(get, honest, service.url)
        assert service.answered == 0


async def test_paho_publishes_to_a_proved_broker_and_to_no_other() -> None:
    """MQTT over mutual TLS; the broker is amqtt's stand-in for the handshake: it answers CONNECT."""
    import aiomqtt

    a, b = friends()
    honest = b.identity("spiffe://b.example/c")
    seen: list[bytes] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1))
        await reader.read(1024)
        writer.write(b"\x20\x02\x00\x00")
        await writer.drain()
        await reader.read(1024)
        writer.close()

    for identity, works in (
        (a.identity("spiffe://a.example/mqtt"), True),
        (forged(a, "spiffe://a.example/mqtt", by=b), False),
    ):
        seen.clear()
        server = await asyncio.start_server(broker, "127.0.0.1", 0, ssl=identity.server_context(ALL))
        port = server.sockets[0].getsockname()[1]
        client = aiomqtt.Client("127.0.0.1", port, tls_context=honest.client_context(ALL), tls_insecure=True, timeout=5)
        try:
            if works:
                async with client:
                    pass
                assert seen == [b"\x10"]
            else:
                with pytest.raises(aiomqtt.MqttError):
                    async with client:
                        pass
                assert seen == []
        finally:
            server.close()


def test_the_servers_protocol_is_uvicorns() -> None:
    """What it relies on is there: the class, its shutdown, its application."""
    assert callable(SpiffeHttp.shutdown) and callable(SpiffeHttp.handle_websocket_upgrade)
