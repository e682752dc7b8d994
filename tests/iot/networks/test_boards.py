"""Boards as network namespaces: real TAPs, real frames, real processes that are killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iot.networks.bed import Bed, Board, Process, bed, impossible, network
from iot.networks.certificates import make_ca

WHY_NOT = impossible()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

SIZE = 8_000_000
WORDS = "the quick brown fox"


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Bed]:
    with bed(tmp_path, 3) as made:
        made.write_networks({"green": network(made.boards)})
        yield made


def started(made: Bed, boards: list[Board] | None = None) -> list[Process]:
    agents = [made.agent(board) for board in boards or made.boards]
    for agent in agents:
        agent.wait_for(" up: connected")
    return agents


def counters(hub: Process, board: Board) -> dict[str, Any]:
    """What the hub counted for a board's port."""
    hub.signal(signal.SIGUSR1)
    return dict(json.loads(hub.wait_for(f'"port": "{board.port}"')))


def test_three_boards_ping_each_other_and_move_bytes_and_the_wire_shows_none(three: Bed) -> None:
    three.hub()
    started(three)
    one, other, third = three.boards
    assert three.ping(one, other) and three.ping(other, third) and three.ping(third, one)
    on_wire = three.run(three.hub_space, str(Path(__file__).parent / "inside.py"), "capture", f"h{one.number}", WORDS)
    on_tap = three.inside(one, "capture", one.vif, WORDS)
    on_wire.wait_for("capturing")
    on_tap.wait_for("capturing")
    receiver = three.inside(third, "receive", "5001")
    receiver.wait_for("listening")
    sent = three.inside(one, "send", third.ip, "5001", str(SIZE)).end()[-1].split()
    received = receiver.end()[-1].split()
    assert (sent[1], sent[2]) == (received[1], received[2]) and int(sent[1]) == SIZE
    packets, size, readable = captured(on_wire)
    assert size > SIZE and packets > 0 and readable == 0
    assert captured(on_tap)[2] > SIZE / 1400  # the same look at what is not encrypted sees the words


def captured(process: Process) -> tuple[int, int, int]:
    words = process.end()[-1].split()
    return int(words[1]), int(words[3]), int(words[5])


def test_who_has_another_token_or_trusts_another_ca_is_not_let_in(three: Bed) -> None:
    hub = three.hub()
    one, other, third = three.boards
    make_ca(three.folder, "foreign", "10.99.0.1")
    three.write_board(one, ports={one.port: one.desired(token=other.token)})
    three.write_board(other, ca="foreign")
    refused = three.agent(one).wait_for("refused")
    assert refused.endswith("cont0 down: the hub refused this port: No such port, or its token is another.")
    untrusted = three.agent(other).wait_for("not trusted")
    assert "the hub's certificate is not trusted" in untrusted and "give the agent the hub's CA" in untrusted
    started(three, [third])
    assert not any(" up" in line for line in hub.lines if third.port not in line)
    assert not three.ping(third, one, 1, 1.0)


def test_a_frame_of_another_network_or_of_another_board_is_not_delivered(three: Bed) -> None:
    one, other, third = three.boards
    three.write_networks({"green": network([one, other]), "rose": network([third])})
    hub = three.hub()
    started(three)
    ears = three.inside(other, "listen", other.vif)
    ears.wait_for("listening")
    for source in (third.mac, one.mac):
        three.inside(
            third, "frame", third.vif, frame(other.mac, source, third.ip, other.ip, b"from a foreign network")
        ).end()
    three.inside(third, "frame", third.vif, frame("ff:ff:ff:ff:ff:ff", third.mac, third.ip, other.ip, b"to all")).end()
    three.inside(one, "frame", one.vif, frame(other.mac, one.mac, third.ip, other.ip, b"another's address")).end()
    three.inside(one, "frame", one.vif, frame(other.mac, one.mac, one.ip, other.ip, b"of its own")).end()
    ears.wait_for(b"of its own".hex())
    heard = "".join(ears.end())
    for words in (b"from a foreign network", b"to all", b"another's address"):
        assert words.hex() not in heard
    third_counted, one_counted = counters(hub, third), None
    assert third_counted["dropped nobody there"] == third_counted["dropped foreign mac"] == 1
    one_counted = counters(hub, one)
    assert one_counted["dropped foreign address"] == 1


def frame(destination: str, source: str, sender: str, receiver: str, payload: bytes) -> str:
    """An Ethernet frame with a UDP packet, in hexadecimal digits."""
    mac = bytes.fromhex((destination + source).replace(":", ""))
    addresses = b"".join(bytes(map(int, address.split("."))) for address in (sender, receiver))
    ip = (
        bytes.fromhex("4500")
        + (28 + len(payload)).to_bytes(2, "big")
        + bytes.fromhex("000040004011")
        + b"\0\0"
        + addresses
    )
    udp = (7).to_bytes(2, "big") * 2 + (8 + len(payload)).to_bytes(2, "big") + b"\0\0"
    return (mac + b"\x08\x00" + ip + udp + payload).hex()


@pytest.mark.long
def test_a_hub_that_was_killed_comes_back_and_so_do_the_ports(three: Bed) -> None:
    hub = three.hub()
    one, other, _ = three.boards
    agents = started(three, [one, other])
    going_on = three.inside(one, "ping", other.ip, "100000", "60")
    going_on.wait_for("answer 3 ")
    hub.signal(signal.SIGKILL)
    for agent in agents:
        agent.wait_for("cont0 down: ")
    three.hub()
    for agent in agents:
        agent.wait_for(" up: connected")
    last = int(going_on.wait_for("answer").split()[1])
    going_on.wait_for(f"answer {last + 500} ")


@pytest.mark.long
def test_an_agent_that_was_killed_comes_back_and_so_does_its_port(three: Bed) -> None:
    three.hub()
    one, other, _ = three.boards
    agents = started(three, [one, other])
    going_on = three.inside(one, "ping", other.ip, "100000", "60")
    going_on.wait_for("answer 3 ")
    agents[1].signal(signal.SIGKILL)
    assert interfaces(other) == {"lo", "wire"}
    started(three, [other])
    last = int(going_on.wait_for("answer").split()[1])
    going_on.wait_for(f"answer {last + 500} ")


def test_ports_come_and_go_with_what_is_desired(three: Bed) -> None:
    three.hub()
    one = three.boards[0]
    (agent,) = started(three, [one])
    assert interfaces(one) == {"lo", "wire", "cont0"}
    second = one.desired(vif="second", ip="10.6.0.1/24", token="of-no-network")
    three.write_board(one, ports={one.port: one.desired(), "another": second})
    agent.signal(signal.SIGHUP)
    agent.wait_for("port another second down: the hub refused")
    assert interfaces(one) == {"lo", "wire", "cont0", "second"}
    three.write_board(one, ports={"another": second})
    agent.signal(signal.SIGHUP)
    agent.wait_for("port another second")
    three.write_board(one, ports={})
    agent.signal(signal.SIGHUP)
    agent.signal(signal.SIGTERM)
    agent.end()
    assert interfaces(one) == {"lo", "wire"}


def interfaces(board: Board) -> set[str]:
    return {str(link["ifname"]) for link in json.loads(of_board(board, "link"))}


def of_board(board: Board, *words: str) -> str:
    command = ["ip", "-json", "-netns", board.space, *words]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_what_is_allowed_changes_while_boards_are_connected(three: Bed) -> None:
    hub = three.hub()
    one, other, third = three.boards
    started(three, [one, other])
    receiver = three.inside(other, "receive", "80")
    receiver.wait_for("listening")
    web = {"name": "web", "rules": [{"direction": "ingress", "protocol": "tcp", "port_min": 80, "port_max": 80}]}
    anybody = {"name": "anybody", "rules": [{"direction": "ingress"}]}
    told = network(three.boards, security_groups=[web, anybody])
    told["ports"][other.port]["security_groups"] = ["web"]
    told["ports"][one.port]["security_groups"] = told["ports"][third.port]["security_groups"] = ["anybody"]
    three.write_networks({"green": told})
    hub.signal(signal.SIGHUP)
    hub.wait_for("1 networks are configured")
    assert not three.ping(one, other, 1, 1.0)  # its ingress has the web only
    assert three.ping(other, one)  # answers are let in
    assert three.inside(one, "connect", other.ip, "80").end() == ["yes"]
    del told["ports"][one.port]
    three.write_networks({"green": told})
    hub.signal(signal.SIGHUP)
    hub.wait_for(f"port {one.port} down")
    assert not three.ping(other, one, 1, 1.0)
    started(three, [third])
    assert three.ping(other, third)


def test_the_interface_is_as_it_was_told(three: Bed) -> None:
    three.hub()
    one = three.boards[0]
    three.write_board(one, ports={one.port: one.desired(mtu=1300, routes=[{"to": "10.8.0.0/16", "via": "10.5.0.9"}])})
    started(three, [one])
    (link,) = json.loads(of_board(one, "address", "show", "dev", one.vif))
    assert (link["address"], link["mtu"]) == (one.mac, 1300) and "UP" in link["flags"]
    assert [(has["local"], has["prefixlen"]) for has in link["addr_info"]] == [(one.ip, 24)]  # and none of IPv6
    routes = json.loads(of_board(one, "route", "show", "dev", one.vif))
    assert {route["dst"]: route.get("gateway") for route in routes} == {"10.5.0.0/24": None, "10.8.0.0/16": "10.5.0.9"}


def test_an_interface_that_somebody_removes_is_made_anew(three: Bed) -> None:
    three.hub()
    one, other, _ = three.boards
    agents = started(three, [one, other])
    subprocess.run(["ip", "-netns", one.space, "link", "delete", one.vif], check=True)
    agents[0].wait_for("removed by somebody else")
    agents[0].wait_for(" up: connected")
    assert three.ping(one, other)


@pytest.mark.long
def test_two_agents_with_one_token_do_not_throw_each_other_out_for_ever(three: Bed) -> None:
    three.hub()
    one, other, third = three.boards
    (first,) = started(three, [one])
    three.write_board(third, ports={one.port: one.desired()})
    started(three, [third, other])
    assert "its token is used by another agent" in first.wait_for("cont0 down")
    third.ip = one.ip
    assert three.ping(other, third)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is missing")
def test_without_the_right_it_says_which_one(three: Bed) -> None:
    one = three.boards[0]
    three.write_board(one)
    command = ["ip", "netns", "exec", one.space, "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    agent = Process(*command, sys.executable, "-m", "continuo.iot.agent.networks", "--config", str(one.config))
    three.running.append(agent)
    assert "grant the agent CAP_NET_ADMIN, and reading and writing /dev/net/tun" in agent.wait_for("no permission")
