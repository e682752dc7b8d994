"""Where boards connect to: who is let in, who is thrown out, and what a slow board costs whom. Without TLS and TAPs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from continuo.iot.frames import Closing, encode
from continuo.iot.hub.networks.connection import PATIENCE, SILENCE
from continuo.iot.hub.networks.metrics import metrics
from continuo.iot.hub.networks.server import NetworkServer, serve
from continuo.telemetry.metrics import Metrics
from iot.networks.packets import ethernet, ipv4, udp

pytestmark = pytest.mark.anyio


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def mac(number: int) -> str:
    return f"fa:16:3e:00:00:0{number}"


def token(number: int) -> str:
    return hashlib.sha256(f"token-{number}".encode()).hexdigest()


def network(*numbers: int, **changed: Any) -> dict[str, Any]:
    return {
        "ports": {f"p{n}": {"board": f"b{n}", "mac": mac(n), "ip": f"10.5.0.{n}", "token": token(n)} for n in numbers},
        **changed,
    }


def packet(sender: int, receiver: int, payload: bytes) -> bytes:
    said = ipv4(17, f"10.5.0.{sender}", f"10.5.0.{receiver}", udp(5, 5, payload))
    return ethernet(mac(receiver), mac(sender), 0x0800, said)


class Hub:
    def __init__(self) -> None:
        self.clock = Clock()
        self.networks = NetworkServer(self.clock)
        self.heard: list[tuple[str, bool]] = []
        self.networks.on_change(lambda port, there: self.heard.append((port, there)))
        self.port = 0

    async def ask(self, request: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        writer.write(request.encode("latin-1"))
        return reader, writer

    async def join(self, number: int) -> Board:
        reader, writer = await self.ask(request(number))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        return Board(reader, writer)


class Board:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *frames: bytes) -> None:
        self.writer.write(encode(frames))

    async def read(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "big"))


def request(number: int, **headers: str) -> str:
    told = {"Connection": "Upgrade", "Upgrade": "continuo-frames", "Authorization": f"Bearer token-{number}", **headers}
    lines = [f"GET /v1/networks/ports/p{number} HTTP/1.1", *(f"{name}: {said}" for name, said in told.items() if said)]
    return "\r\n".join(lines) + "\r\n\r\n"


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub()
    await made.networks.set("n", network(1, 2, 3))
    async with serve("127.0.0.1", 0, None, networks=made.networks) as (_, made.port):
        yield made


@pytest.mark.parametrize(
    ("said", "status", "sentence"),
    [
        ("hello\r\n\r\n", 400, "This is no HTTP/1.1 request."),
        ("\xff\xfe\r\n\r\n", 400, "This is no HTTP/1.1 request."),
        ("POST /v1/networks/ports/p1 HTTP/1.1\r\n\r\n", 400, "A port is opened by GET in HTTP/1.1."),
        ("GET / HTTP/1.1\r\n\r\n", 404, "There is nothing here but /v1/networks/ports/<the port's uuid>."),
        ("GET /v1/networks/ports/p1/../p2 HTTP/1.1\r\n\r\n", 404, "There is nothing here but"),
        (request(1, Upgrade="websocket"), 426, "Ask with Connection: Upgrade and Upgrade: continuo-frames."),
        (request(1, Authorization=""), 401, "Authorization: Bearer <the port's token> is missing."),
        (request(1, Authorization="Basic token-1"), 401, "Authorization: Bearer <the port's token> is missing."),
        (request(1, Authorization="Bearer token-2"), 401, "No such port, or its token is another."),
        (request(1, Authorization=f"Bearer {token(1)}"), 401, "No such port, or its token is another."),
        (request(9), 401, "No such port, or its token is another."),
        ("GET /" + "x" * 9000, 400, "A request has at most 8192 bytes."),
    ],
)
async def test_who_is_not_let_in_is_told_why(hub: Hub, said: str, status: int, sentence: str) -> None:
    reader, writer = await hub.ask(said)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()) and body.decode().startswith(sentence)
    writer.close()
    assert hub.heard == [] and not hub.networks.connected("p1")


async def test_frames_go_from_one_to_the_other_also_when_they_come_in_pieces(hub: Hub) -> None:
    one, other = await hub.join(1), await hub.join(2)
    assert hub.heard == [("p1", True), ("p2", True)] and hub.networks.connected("p1")
    stream = encode([packet(1, 2, b"first"), packet(1, 2, b"second")])
    for at in range(len(stream)):
        one.writer.write(stream[at : at + 1])
        await one.writer.drain()
    assert [await other.read(), await other.read()] == [packet(1, 2, b"first"), packet(1, 2, b"second")]
    counted = hub.networks.counters("p2")
    assert counted["sent"] == 2 and counted["sent_bytes"] == len(stream) - 4


async def test_frames_that_come_with_the_request_are_not_lost(hub: Hub) -> None:
    other = await hub.join(2)
    await hub.ask(request(1) + encode([packet(1, 2, b"eager")]).decode("latin-1"))
    assert await other.read() == packet(1, 2, b"eager")


async def test_a_newer_connection_takes_the_place_of_the_older(hub: Hub) -> None:
    one, other = await hub.join(1), await hub.join(2)
    again = await hub.join(1)
    assert await one.read() == bytes([Closing.REPLACED]) and await one.reader.read() == b""
    one.send(packet(1, 2, b"too late"))
    again.send(packet(1, 2, b"now"))
    assert await other.read() == packet(1, 2, b"now")
    assert hub.heard == [("p1", True), ("p2", True), ("p1", False), ("p1", True)]


async def test_ports_that_are_gone_or_others_now_are_closed_and_the_rest_stays(hub: Hub) -> None:
    one, other, third = [await hub.join(number) for number in (1, 2, 3)]
    await hub.networks.set("n", network(1, 2, 3))
    changed = network(1, 3)
    changed["ports"]["p1"]["token"] = token(7)
    await hub.networks.set("n", changed)
    assert await one.read() == bytes([Closing.CHANGED]) and await other.read() == bytes([Closing.REMOVED])
    assert [hub.networks.connected(port) for port in ("p1", "p2", "p3")] == [False, False, True]
    await hub.networks.remove("n")
    await hub.networks.remove("n")
    assert await third.read() == bytes([Closing.REMOVED]) and not hub.networks.connected("p3")
    assert hub.heard[3:] == [("p1", False), ("p2", False), ("p3", False)]
    with pytest.raises(KeyError):
        hub.networks.counters("p1")


async def test_what_cannot_be_changes_nothing(hub: Hub) -> None:
    one = await hub.join(1)
    with pytest.raises(ValueError, match="mtu 5 is no number"):
        await hub.networks.set("n", network(2, mtu=5))
    with pytest.raises(ValueError, match="network other: port p1 is one of network n already"):
        await hub.networks.set("other", network(1))
    assert hub.networks.connected("p1")
    other = await hub.join(2)
    one.send(packet(1, 2, b"still"))
    assert await other.read() == packet(1, 2, b"still")


async def test_networks_know_nothing_of_each_other(hub: Hub) -> None:
    await hub.networks.set("other", {"ports": {"p9": {**network(9)["ports"]["p9"], "ip": "10.5.0.2"}}})
    stranger, other = await hub.join(9), await hub.join(2)
    stranger.send(packet(9, 2, b"foreign"), packet(1, 2, b"forged"))
    one = await hub.join(1)
    one.send(packet(1, 2, b"own"))
    assert await other.read() == packet(1, 2, b"own")


async def test_a_frame_longer_than_the_mtu_ends_the_connection(hub: Hub) -> None:
    one = await hub.join(1)
    one.send(b"x" * 1415)
    with contextlib.suppress(ConnectionError):
        assert await one.reader.read() == b""
    assert hub.networks.counters("p1")["dropped too long"] == 1 and hub.heard[-1] == ("p1", False)


async def test_who_never_says_who_it_is_and_who_is_silent_is_closed(hub: Hub) -> None:
    silent, slow = await hub.join(1), await hub.ask("GET /v1/")
    hub.clock.now += PATIENCE + 1
    slow[1].write(b"networks")  # drop by drop
    await asyncio.sleep(0)
    hub.networks.tick()
    with contextlib.suppress(ConnectionError):
        assert await slow[0].read() == b""
    assert await silent.read() == b""  # we say that we are there
    hub.clock.now += SILENCE
    hub.networks.tick()
    with contextlib.suppress(ConnectionError):
        assert await silent.reader.read() == b""
    assert hub.heard == [("p1", True), ("p1", False)]


async def test_what_ports_carried_and_dropped_is_told_as_metrics(hub: Hub) -> None:
    one, other = await hub.join(1), await hub.join(2)
    one.send(packet(3, 2, b"forged"), packet(1, 2, b"own"))
    await other.read()
    told = Metrics()
    told.collect("ports", lambda: metrics(hub.networks))
    said = told.exposition()[0].decode().splitlines()
    size = len(packet(1, 2, b"own"))
    assert 'continuo_hub_port_connected{network="n",port="p1"} 1.0' in said
    assert 'continuo_hub_port_connected{network="n",port="p3"} 0.0' in said
    assert 'continuo_hub_port_frames_total{direction="in",network="n",port="p1"} 2.0' in said
    assert f'continuo_hub_port_bytes_total{{direction="out",network="n",port="p2"}} {size}.0' in said
    assert 'continuo_hub_port_dropped_total{network="n",port="p1",reason="foreign mac"} 1.0' in said
    assert not any("token" in line for line in said)


@pytest.mark.parametrize("bound", ["_most", "_most_of_one"])
async def test_strangers_are_bounded_and_who_is_in_stays(hub: Hub, bound: str) -> None:
    one = await hub.join(1)
    setattr(hub.networks._strangers, bound, 2)
    strangers = [await hub.ask("") for _ in range(2)]
    reader, _ = await hub.ask(request(2))
    assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    assert hub.networks.connected("p1")
    for _, writer in strangers:
        writer.close()
    one.writer.close()


async def test_a_slow_board_loses_its_oldest_frames_and_nobody_else_any(hub: Hub) -> None:
    one, slow, quick = [await hub.join(number) for number in (1, 2, 3)]
    slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(400):
        one.send(*(packet(1, 2, bytes(1300)) for _ in range(50)), packet(1, 3, b"quick"))
        assert await quick.read() == packet(1, 3, b"quick")
    last = packet(1, 2, b"the last one")
    one.send(last, packet(1, 3, b"end"))
    assert await quick.read() == packet(1, 3, b"end")
    counted = hub.networks.counters("p2")
    assert counted["dropped slow"] > 0 and "dropped slow" not in hub.networks.counters("p3")
    slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
    came = 1
    while await slow.read() != last:
        came += 1
    assert came == counted["sent"] - hub.networks.counters("p2")["dropped slow"]


async def test_the_end_of_the_server_is_the_end_of_all_connections() -> None:
    made = Hub()
    await made.networks.set("n", network(1))
    async with serve("127.0.0.1", 0, None, networks=made.networks) as (_, made.port):
        one = await made.join(1)
    with contextlib.suppress(ConnectionError):
        assert await one.reader.read() == b""
    async with serve("127.0.0.1", made.port, None, networks=made.networks):  # the address is free again
        assert (await made.join(1)).writer is not None
