"""A board's ports against a real server, with a pair of sockets in place of each TAP: no right is needed."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from continuo.iot.agent.networks import desired
from continuo.iot.agent.networks.ports import Ports, trusting
from continuo.iot.agent.networks.tap import Device, TapError
from continuo.iot.hub.networks.server import NetworkServer, serve
from iot.networks.certificates import make_ca
from iot.networks.test_server import network, packet

pytestmark = pytest.mark.anyio


class Pair:
    """What stands for a TAP: each read is one frame, and each write."""

    def __init__(self) -> None:
        self.kernel, self._ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.kernel.setblocking(False)
        self._ours.setblocking(False)
        self.fd = self._ours.fileno()
        self.closed = False

    def close(self) -> None:
        self.closed = True
        self._ours.close()


class Agent:
    """Ports, what they reported, and the TAPs that were made."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.taps: dict[str, list[Pair]] = {}
        self.failing: dict[str, str] = {}
        self.ports = Ports(self._hear, tls, maker=self._make, rng=random.Random(7))

    def _hear(self, ports: Mapping[str, Mapping[str, Any]]) -> None:
        self.reports.put_nowait({uuid: dict(port) for uuid, port in ports.items()})

    async def _make(self, port: desired.Port) -> Device:
        if why := self.failing.get(port.vif):
            raise TapError(why)
        self.taps.setdefault(port.uuid, []).append(Pair())
        return self.taps[port.uuid][-1]

    async def until(self, uuid: str, message: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                port = (await self.reports.get()).get(uuid)
                if port and message in port["message"]:
                    return dict(port)

    async def read(self, uuid: str) -> bytes:
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(self.taps[uuid][-1].kernel, 65536)


class Bed:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.networks = NetworkServer()
        self.port = 0
        self.agents: list[Agent] = []
        self.server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

    def agent(self, ca: str = "ca") -> Agent:
        self.agents.append(Agent(trusting(self.folder / f"{ca}.pem")))
        return self.agents[-1]

    def told(self, number: int, **changed: Any) -> dict[str, Any]:
        return {
            "vif": f"cont{number}", "mac": f"fa:16:3e:00:00:0{number}", "ip": f"10.5.0.{number}/24",
            "url": f"https://127.0.0.1:{self.port}", "token": f"token-{number}", **changed,
        }  # fmt: skip


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bed]:
    make_ca(tmp_path, "ca", "127.0.0.1")
    make_ca(tmp_path, "foreign", "127.0.0.1")
    bed = Bed(tmp_path)
    bed.server_tls.load_cert_chain(tmp_path / "ca-hub.pem", tmp_path / "ca-hub.key")
    await bed.networks.set("n", network(1, 2, 3))
    async with serve("127.0.0.1", 0, bed.server_tls, networks=bed.networks) as (_, bed.port):
        yield bed
        for agent in bed.agents:
            await agent.ports.close()


async def test_frames_go_through_both_ends(made: Bed) -> None:
    one, other = made.agent(), made.agent()
    await one.ports.set({"p1": made.told(1)})
    await other.ports.set({"p2": made.told(2)})
    assert await one.until("p1", "connected") == {"up": True, "vif": "cont1", "message": "connected"}
    await other.until("p2", "connected")
    sent = [packet(1, 2, b"%d" % number * 50) for number in range(200)]
    came: list[bytes] = []
    for begin in range(0, 200, 20):
        for frame in sent[begin : begin + 20]:
            one.taps["p1"][0].kernel.send(frame)
        came += [await other.read("p2") for _ in range(20)]
    assert came == sent


async def test_a_port_that_is_as_before_is_not_touched_and_others_come_and_go(made: Bed) -> None:
    agent = made.agent()
    heard: list[tuple[str, bool]] = []
    made.networks.on_change(lambda port, there: heard.append((port, there)))
    await agent.ports.set({"p1": made.told(1), "p2": made.told(2)})
    while not all(port["up"] for port in agent.ports.state().values()):
        await agent.reports.get()
    await agent.ports.set({"p1": made.told(1), "p2": made.told(2, mtu=1300), "p3": made.told(3)})
    await agent.until("p3", "connected")
    assert len(agent.taps["p1"]) == 1 and not agent.taps["p1"][0].closed
    assert agent.taps["p2"][0].closed
    assert ("p1", False) not in heard
    await agent.ports.set({})
    assert agent.ports.state() == {} and all(tap.closed for taps in agent.taps.values() for tap in taps)


async def test_another_token_connects_anew_and_the_interface_stays(made: Bed) -> None:
    """A hub that starts anew tells new tokens: what programs on the board have bound to must not go away for that."""
    agent = made.agent()
    await agent.ports.set({"p1": made.told(1)})
    await agent.until("p1", "connected")
    changed = network(1, 2, 3)
    changed["ports"]["p1"]["token"] = network(7)["ports"]["p7"]["token"]
    await made.networks.set("n", changed)
    await agent.until("p1", "the hub has changed this port")
    await agent.ports.set({"p1": made.told(1, token="token-7")})
    await agent.until("p1", "connected")
    await agent.ports.set({"p1": made.told(1, token="token-of-nobody")})  # while it is connected
    await agent.until("p1", "refused")
    await agent.ports.set({"p1": made.told(1, token="token-7")})  # while it waits
    await agent.until("p1", "connected")
    assert len(agent.taps["p1"]) == 1 and not agent.taps["p1"][0].closed


async def test_a_port_that_would_carry_itself_is_refused(made: Bed) -> None:
    agent = made.agent()
    routes = [{"to": "127.0.0.0/8", "via": "10.5.0.9"}]
    await agent.ports.set(
        {"p1": made.told(1, ip="127.0.0.7/24"), "p2": made.told(2, routes=routes), "p3": made.told(3)}
    )
    assert "the hub's address 127.0.0.1 is within" in (await agent.until("p1", "into itself"))["message"]
    while "into itself" not in agent.ports.state()["p2"]["message"]:
        await agent.reports.get()
    while not agent.ports.state()["p3"]["up"]:
        await agent.reports.get()
    assert set(agent.taps) == {"p3"}


async def test_a_hub_that_went_away_is_found_again(tmp_path: Path) -> None:
    make_ca(tmp_path, "ca", "127.0.0.1")
    bed = Bed(tmp_path)
    bed.server_tls.load_cert_chain(tmp_path / "ca-hub.pem", tmp_path / "ca-hub.key")
    await bed.networks.set("n", network(1))
    agent = bed.agent()
    async with serve("127.0.0.1", 0, bed.server_tls, networks=bed.networks) as (_, bed.port):
        await agent.ports.set({"p1": bed.told(1)})
        await agent.until("p1", "connected")
    await agent.until("p1", "")
    assert not agent.ports.state()["p1"]["up"]
    async with serve("127.0.0.1", bed.port, bed.server_tls, networks=bed.networks):
        await agent.until("p1", "connected")
        assert len(agent.taps["p1"]) == 1  # the interface stayed, so what is bound to it too
        await agent.ports.close()


async def test_a_ca_that_is_another_is_said(made: Bed) -> None:
    agent = made.agent("foreign")
    await agent.ports.set({"p1": made.told(1)})
    port = await agent.until("p1", "not trusted")
    assert not port["up"] and port["message"].endswith("give the agent the hub's CA")


async def test_a_token_that_is_another_is_said_and_never_shown(made: Bed) -> None:
    agent = made.agent()
    await agent.ports.set({"p1": made.told(1, token="secret-of-nobody")})
    await agent.until("p1", "the hub refused this port: No such port, or its token is another.")
    assert "secret-of-nobody" not in str(agent.ports.state())
    assert "secret-of-nobody" not in repr(desired.read("p1", made.told(1, token="secret-of-nobody")))


async def test_an_address_where_something_else_answers_is_said(made: Bed) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    agent = made.agent()
    listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=made.server_tls)
    port = listener.sockets[0].getsockname()[1]
    await agent.ports.set({"p1": made.told(1, url=f"https://127.0.0.1:{port}")})
    await agent.until("p1", "what answers there is no hub: 'HTTP/1.1 200 OK'")
    listener.close()
    await agent.ports.set({"p1": made.told(1, url="https://127.0.0.1:1")})
    await agent.until("p1", "cannot connect to 127.0.0.1:1")


async def test_where_there_can_be_no_tap_it_says_so_and_the_others_work(made: Bed) -> None:
    agent = made.agent()
    agent.failing["cont1"] = "no permission to make a TAP"
    await agent.ports.set({"p1": made.told(1), "p2": made.told(2), "p3": made.told(3, ip="10.5.0.3")})
    await agent.until("p2", "connected")
    assert agent.ports.state()["p1"] == {"up": False, "vif": "cont1", "message": "no permission to make a TAP"}
    assert agent.ports.state()["p3"]["message"].startswith("ip '10.5.0.3' is no IPv4 address with its prefix length")
    agent.failing.clear()
    await agent.until("p1", "connected")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"vif": "a" * 16}, "vif 'aaaaaaaaaaaaaaaa' is no interface's name"),
        ({"vif": "../etc"}, "vif '../etc' is no interface's name"),
        ({"vif": "-x"}, "vif '-x' is no interface's name"),
        ({"mac": "ff:ff:ff:ff:ff:ff"}, "mac 'ff:ff:ff:ff:ff:ff' is no address of one device"),
        ({"ip": "10.5.0.2/33"}, "ip '10.5.0.2/33' is no IPv4 address with its prefix length"),
        ({"ip": "fd00::1/64"}, "ip 'fd00::1/64' is no IPv4 address with its prefix length"),
        ({"mtu": 20}, "mtu 20 is no number from 68 to 9000"),
        ({"mtu": "1400"}, "mtu '1400' is no number from 68 to 9000"),
        ({"token": ""}, "token is missing"),
        ({"token": "a\r\nHost: b"}, "token is missing, or has characters that no header carries"),
        ({"url": "ftp://hub"}, "url 'ftp://hub' is no address of a hub's networks"),
        ({"url": "https://hub:port"}, "url 'https://hub:port' is no address of a hub's networks"),
        ({"url": "https://hub/a b"}, "url 'https://hub/a b' is no address of a hub's networks"),
        ({"routes": [{"to": "10.0.0.1/8", "via": "10.5.0.1"}]}, "route {'to': '10.0.0.1/8'"),
        ({"routes": [{"to": "10.0.0.0/8"}]}, "route {'to': '10.0.0.0/8'} does not say to which"),
    ],
)
def test_what_a_port_cannot_be_is_said(changed: dict[str, Any], sentence: str) -> None:
    told = {"vif": "cont0", "mac": "fa:16:3e:00:00:01", "ip": "10.5.0.2/24", "url": "https://hub", "token": "t"}
    desired.read("p1", told)
    with pytest.raises(ValueError) as error:
        desired.read("p1", {**told, **changed})
    assert str(error.value).startswith(sentence)
