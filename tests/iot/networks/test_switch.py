"""The switch, without a network: who gets a frame, and why nobody else does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.iot.hub.networks import config, tracking
from continuo.iot.hub.networks.switch import BURST, FLOODED, Switch
from iot.networks.packets import ALL, arp, ethernet, icmp, ipv4, tcp, udp

SYN, ACK, FIN, RST = 2, 16, 1, 4


def mac(number: int) -> str:
    return f"fa:16:3e:00:00:0{number}"


def address(number: int) -> str:
    return f"10.5.0.{number}"


class Box:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def put(self, frame: bytes) -> int:
        self.frames.append(frame)
        return 0


class Net:
    """A switch with boards 1 to n, all connected."""

    def __init__(self, count: int = 3, **changed: Any) -> None:
        self.count = count
        self.boxes = {number: Box() for number in range(1, count + 1)}
        self.now = 1000.0
        self.switch = Switch(self.network(**changed))
        for number, box in self.boxes.items():
            self.port(number).outbox = box

    def network(self, groups: dict[int, list[str]] | None = None, **changed: Any) -> config.Network:
        ports = {
            f"p{number}": {
                "mac": mac(number), "ip": address(number), "token": "a" * 64,
                "security_groups": (groups or {}).get(number, []),
            }
            for number in range(1, self.count + 1)
        }  # fmt: skip
        return config.read("n", {"ports": ports, **changed})

    def port(self, number: int) -> Any:
        return self.switch.ports[f"p{number}"]

    def send(self, sender: int, frame: bytes) -> set[int]:
        """Who gets it."""
        before = {number: len(box.frames) for number, box in self.boxes.items()}
        self.switch.take(self.port(sender), frame, self.now)
        return {number for number, box in self.boxes.items() if len(box.frames) > before[number]}

    def ip(self, sender: int, receiver: int, protocol: int, payload: bytes, **changed: Any) -> set[int]:
        packet = ipv4(protocol, address(sender), address(receiver), payload, **changed)
        return self.send(sender, ethernet(mac(receiver), mac(sender), 0x0800, packet))

    def tcp(self, sender: int, receiver: int, source: int, destination: int, flags: int = SYN) -> set[int]:
        return self.ip(sender, receiver, 6, tcp(source, destination, flags))

    def dropped(self, number: int) -> dict[str, int]:
        return {why[8:]: count for why, count in self.port(number).counters.items() if why.startswith("dropped ")}


def web(**changed: Any) -> Net:
    """Board 1 lets in the web only; the others let in anybody."""
    groups = [
        {"name": "web", "rules": [{"direction": "ingress", "protocol": "tcp", "port_min": 80, "port_max": 81}]},
        {"name": "open", "rules": [{"direction": "ingress"}]},
    ]
    return Net(security_groups=groups, groups={1: ["web"], 2: ["open"], 3: ["open"]}, **changed)


def test_a_frame_goes_to_its_destination_and_nobody_else() -> None:
    net = Net()
    assert net.tcp(1, 2, 1000, 80) == {2}
    assert net.tcp(2, 1, 80, 1000, SYN | ACK) == {1}
    assert net.send(1, ethernet(ALL, mac(1), 0x0806, arp(1, mac(1), address(1), address(2)))) == {2, 3}
    assert net.send(2, ethernet(mac(1), mac(2), 0x0806, arp(2, mac(2), address(2), address(1)))) == {1}
    assert net.send(1, ethernet(ALL, mac(1), 0x0806, arp(1, mac(1), "0.0.0.0", address(1)))) == {2, 3}


IPV6 = bytes.fromhex("6000000000003a40") + bytes(32)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (ethernet(mac(2), mac(3), 0x0800, ipv4(6, address(1), address(2), tcp(1, 2))), "foreign mac"),
        (ethernet(mac(2), mac(1), 0x0800, ipv4(6, address(3), address(2), tcp(1, 2))), "foreign address"),
        (ethernet(mac(2), mac(1), 0x0800, ipv4(6, "0.0.0.0", address(2), tcp(1, 2))), "foreign address"),
        (ethernet(mac(2), mac(1), 0x0806, arp(2, mac(1), address(3), address(2))), "foreign arp"),
        (ethernet(mac(2), mac(1), 0x0806, arp(2, mac(3), address(1), address(2))), "foreign arp"),
        (ethernet(mac(2), mac(1), 0x0800, ipv4(6, address(1), address(3), tcp(1, 2))), "foreign destination"),
        (ethernet(mac(2), mac(1), 0x0800, ipv4(6, address(1), "192.0.2.1", tcp(1, 2))), "foreign destination"),
        (ethernet(mac(9), mac(1), 0x0800, ipv4(6, address(1), address(9), tcp(1, 2))), "nobody there"),
        (ethernet(mac(1), mac(1), 0x0800, ipv4(6, address(1), address(1), tcp(1, 2))), "nobody there"),
        (ethernet(mac(2), mac(1), 0x86DD, IPV6), "ipv6"),
        (ethernet(mac(2), mac(1), 0x8100, b"\0" * 50), "vlan"),
        (b"\0" * 5, "too short"),
    ],
)
def test_what_claims_to_be_another_is_dropped_and_counted(frame: bytes, why: str) -> None:
    net = Net()
    assert net.send(1, frame) == set()
    assert net.dropped(1) == {why: 1}


def test_default_lets_members_in_and_no_others() -> None:
    net = Net(groups={3: ["other"]}, security_groups=[{"name": "other", "rules": []}])
    assert net.tcp(1, 2, 1000, 80) == {2}
    assert net.tcp(3, 1, 1000, 80) == set() and net.dropped(3) == {"security group": 1}
    assert net.tcp(1, 3, 1000, 80) == set()


def test_answers_come_in_where_questions_went_out() -> None:
    net = web()
    assert net.tcp(2, 1, 1000, 80) == {1} and net.tcp(2, 1, 1000, 81) == {1} and net.tcp(2, 1, 1000, 82) == set()
    assert net.tcp(1, 2, 80, 1000, SYN | ACK) == {2}
    assert net.tcp(2, 1, 5000, 6000, SYN | ACK) == set()  # to nothing that was asked
    assert net.tcp(1, 2, 6000, 5000) == {2} and net.tcp(2, 1, 5000, 6000, SYN | ACK) == {1}
    assert net.ip(1, 2, 17, udp(53, 53)) == {2} and net.ip(2, 1, 17, udp(53, 53)) == {1}
    assert net.ip(3, 1, 17, udp(53, 53)) == set()
    assert net.ip(2, 1, 1, icmp(8, number=7)) == set()
    assert net.ip(1, 2, 1, icmp(8, number=7)) == {2} and net.ip(2, 1, 1, icmp(0, number=7)) == {1}
    assert net.ip(2, 1, 1, icmp(0, number=8)) == set()


def test_answers_come_in_as_long_as_the_connection_is_in_use() -> None:
    net = web()
    assert net.ip(1, 2, 17, udp(53, 53)) == {2}
    net.now += tracking.QUESTION + 1
    assert net.ip(2, 1, 17, udp(53, 53)) == set()
    for _ in range(5):  # by the shortcut, too
        assert net.tcp(1, 2, 6000, 5000, SYN if _ == 0 else ACK) == {2}
        assert net.tcp(2, 1, 5000, 6000, ACK) == {1}
        net.now += tracking.ESTABLISHED - 1
    net.now += 2
    assert net.tcp(2, 1, 5000, 6000, ACK) == set()


def test_a_connection_that_was_closed_is_forgotten_soon() -> None:
    net = web()
    for flags in (SYN, ACK, ACK, FIN | ACK):
        assert net.tcp(1, 2, 6000, 5000, flags) == {2}
        assert net.tcp(2, 1, 5000, 6000, ACK) == {1}
    net.now += tracking.CLOSING + 1
    assert net.tcp(2, 1, 5000, 6000, ACK) == set()


def test_errors_about_a_connection_come_in_and_no_others() -> None:
    net = web()
    asked = ipv4(17, address(1), address(2), udp(40, 50))
    assert net.ip(2, 1, 1, icmp(3, 3, payload=asked)) == set()
    assert net.ip(1, 2, 17, udp(40, 50)) == {2}
    assert net.ip(2, 1, 1, icmp(3, 3, payload=asked)) == {1}
    assert net.ip(3, 1, 1, icmp(3, 3, payload=asked)) == set()  # it was not the one asked
    assert net.ip(2, 1, 1, icmp(5, 1, payload=asked)) == set()  # a redirect is no error
    for cut in range(len(asked)):
        net.ip(2, 1, 1, icmp(3, 3, payload=asked[:cut]))


def test_later_fragments_go_where_the_first_went() -> None:
    net = web()
    assert net.ip(2, 1, 17, udp(1, 2, b"x" * 8), number=5, more=True) == set()
    assert net.ip(2, 1, 17, b"rest", number=5, offset=2) == set()
    assert net.ip(2, 1, 6, tcp(1, 80, payload=b"x" * 4), number=6, more=True) == {1}
    assert net.ip(2, 1, 6, b"rest", number=6, offset=3) == {1}
    assert net.ip(2, 1, 6, b"rest", number=7, offset=3) == set()
    assert net.ip(3, 1, 6, b"rest", number=6, offset=3) == set()


def test_a_shortcut_is_its_own_port_s_only() -> None:
    net = web()
    for flags in (SYN, ACK, ACK):
        assert net.tcp(2, 1, 1000, 80, flags) == {1}
        assert net.tcp(1, 2, 80, 1000, ACK) == {2}
    genuine = ethernet(mac(1), mac(2), 0x0800, ipv4(6, address(2), address(1), tcp(1000, 80, ACK)))
    assert net.send(2, genuine) == {1}
    assert net.send(3, genuine) == set() and net.dropped(3) == {"foreign mac": 1}


def test_a_change_ends_what_it_forbids_and_nothing_else() -> None:
    net = web()
    for sender in (2, 3):
        for flags in (SYN, ACK, ACK):
            assert net.tcp(sender, 1, 1000, 80, flags) == {1} and net.tcp(1, sender, 80, 1000, ACK) == {sender}
    assert net.tcp(1, 2, 7000, 22) == {2}
    only = {"direction": "ingress", "protocol": "tcp", "remote_cidr": f"{address(2)}/32"}
    groups = [{"name": "web", "rules": [only]}, {"name": "open", "rules": [{"direction": "ingress"}]}]
    net.switch.change(net.network(security_groups=groups, groups={1: ["web"], 2: ["open"], 3: ["open"]}))
    assert net.tcp(2, 1, 1000, 80, ACK) == {1} and net.tcp(3, 1, 1000, 80, ACK) == set()
    assert net.tcp(2, 1, 22, 7000, ACK) == {1}
    net.switch.change(net.network(security_groups=groups, groups={1: ["web"], 2: ["web"], 3: ["open"]}))
    assert net.tcp(1, 3, 1, 1) == {3}


def test_who_floods_is_bounded_and_others_are_not() -> None:
    net, heard = Net(), 0
    ask = ethernet(ALL, mac(1), 0x0806, arp(1, mac(1), address(1), address(2)))
    for _ in range(int(BURST) + 50):
        heard += bool(net.send(1, ask))
    assert heard == BURST and net.dropped(1) == {"storm": 50}
    assert net.send(2, ethernet(ALL, mac(2), 0x0806, arp(1, mac(2), address(2), address(3)))) == {1, 3}
    net.now += 1.0
    assert sum(bool(net.send(1, ask)) for _ in range(1000)) == FLOODED


def test_who_opens_too_many_connections_loses_its_own_only() -> None:
    connections = tracking.Connections(per_port=100)
    mine = connections.open((6, b"b", 1, b"a", 1), "p2", 0.0)
    for port in range(1000):
        connections.open((6, b"a", port, b"b", 80), "p1", float(port))
    assert len(connections) == 101
    assert connections.find(mine.flow, 10.0) is not None
    assert connections.find((6, b"a", 999, b"b", 80), 999.0) is not None


def test_where_all_together_are_too_many_who_has_most_loses() -> None:
    connections = tracking.Connections(per_port=100, per_network=120)
    for port in range(90):
        connections.open((6, b"a", port, b"b", 80), "p1", 0.0)
    mine = [connections.open((6, b"b", port, b"a", 80), "p2", 0.0) for port in range(40)]
    assert len(connections) == 120 and all(connections.find(one.flow, 1.0) for one in mine)


def test_who_is_away_gets_nothing_later() -> None:
    net = Net()
    net.port(2).outbox = None
    assert net.tcp(1, 2, 1, 1) == set() and net.dropped(2) == {"away": 1}
    net.port(2).outbox = net.boxes[2]
    assert net.boxes[2].frames == []


PACKETS = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda to, by, kind, source, destination, body: ethernet(to, by, 0x0800, ipv4(kind, source, destination, body)),
        st.sampled_from([mac(1), mac(2), mac(3), mac(9), ALL]),
        st.sampled_from([mac(1), mac(2), mac(3)]),
        st.sampled_from([1, 6, 17, 47]),
        st.sampled_from([address(1), address(2), address(3)]),
        st.sampled_from([address(1), address(2), address(3), "10.5.0.255"]),
        st.one_of(
            st.builds(tcp, st.sampled_from([80, 1000]), st.sampled_from([80, 1000]), st.integers(0, 63)),
            st.builds(udp, st.sampled_from([80, 1000]), st.sampled_from([80, 1000])),
            st.builds(icmp, st.sampled_from([0, 3, 8]), st.just(0), st.integers(1, 2)),
            st.binary(max_size=30),
        ),
    ),
)


@given(st.lists(st.tuples(st.integers(1, 3), PACKETS, st.floats(0, 50)), max_size=60))
def test_whatever_is_sent_who_gets_it_may_have_it(sent: list[tuple[int, bytes, float]]) -> None:
    """The model: of what is sent to board 1, only the web or an answer to what board 1 sent before comes through."""
    net, asked = web(), set()
    for sender, frame, wait in sent:
        net.now += wait
        got = net.send(sender, frame)
        assert sender not in got
        if got:
            assert frame[6:12] == bytes.fromhex(mac(sender).replace(":", ""))
            assert frame[26:30] == bytes(map(int, address(sender).split(".")))
        if sender == 1 and got:
            asked.add((frame[30:34], frame[23]))
        if 1 in got:
            assert (
                (frame[23] == 6 and frame[36:38] in (b"\0P", b"\0Q"))
                or (frame[26:30], frame[23]) in asked
                or (frame[23] == 1 and frame[34] == 3)
            )


class Routed(Net):
    """Port 1 leads to 192.168.7.0/24; board 2 lets nothing in."""

    def network(self, groups: dict[int, list[str]] | None = None, **changed: Any) -> config.Network:
        made = {
            f"p{number}": {
                "mac": mac(number), "ip": address(number), "token": "a" * 64,
                "allowed_addresses": ["192.168.7.0/24"] if number == 1 else [],
                "security_groups": ["shut"] if number == 2 else ["open"],
            }
            for number in range(1, self.count + 1)
        }  # fmt: skip
        told = [{"name": "shut", "rules": []}, {"name": "open", "rules": [{"direction": "ingress"}]}]
        return config.read("n", {"ports": made, "security_groups": told})

    def routed(self, sender: int, receiver: int, source: str, destination: str, payload: bytes) -> set[int]:
        return self.send(sender, ethernet(mac(receiver), mac(sender), 0x0800, ipv4(6, source, destination, payload)))


FAR = "192.168.7.9"


def test_a_port_that_leads_elsewhere_carries_for_the_addresses_behind_it() -> None:
    net = Routed()
    assert net.routed(2, 1, address(2), FAR, tcp(1000, 80, SYN)) == {1}
    assert net.routed(1, 2, FAR, address(2), tcp(80, 1000, SYN | ACK)) == {2}
    assert net.routed(1, 2, FAR, address(2), tcp(99, 1000, SYN)) == set(), "board 2 did not ask for that"
    assert net.routed(1, 3, FAR, address(3), tcp(99, 1000, SYN)) == {3}
    assert net.dropped(1) == {"security group": 1}


def test_a_router_tells_of_packets_that_it_could_not_pass_on() -> None:
    net = Routed()
    lost = ipv4(6, address(2), FAR, tcp(1000, 80, SYN))
    net.routed(2, 1, address(2), FAR, tcp(1000, 80, SYN))
    error = ethernet(mac(2), mac(1), 0x0800, ipv4(1, address(1), address(2), icmp(3, 4, payload=lost)))
    assert net.send(1, error) == {2}
    assert (
        net.send(3, ethernet(mac(2), mac(3), 0x0800, ipv4(1, address(3), address(2), icmp(3, 4, payload=lost))))
        == set()
    )


@pytest.mark.parametrize(
    ("sender", "receiver", "source", "destination", "why"),
    [
        (1, 3, "192.168.8.1", address(3), "foreign address"),
        (1, 3, address(2), address(3), "foreign address"),
        (3, 2, FAR, address(2), "foreign address"),
        (3, 1, address(3), "192.168.8.1", "foreign destination"),
        (3, 2, address(3), FAR, "foreign destination"),
    ],
)
def test_it_carries_for_no_others(sender: int, receiver: int, source: str, destination: str, why: str) -> None:
    net = Routed()
    assert net.routed(sender, receiver, source, destination, tcp(1000, 80, SYN)) == set()
    assert net.dropped(sender) == {why: 1}


def test_a_port_that_leads_everywhere_speaks_for_no_other_port() -> None:
    ports = {
        f"p{number}": {"mac": mac(number), "ip": address(number), "token": "a" * 64,
                       "allowed_addresses": ["0.0.0.0/0"] if number == 1 else []}
        for number in (1, 2, 3)
    }  # fmt: skip
    net = Net()
    net.switch.change(config.read("n", {"ports": ports}))
    packet = ethernet(mac(3), mac(1), 0x0800, ipv4(6, address(2), address(3), tcp(1, 2, SYN)))
    assert net.send(1, packet) == set()
    assert net.send(1, ethernet(mac(3), mac(1), 0x0800, ipv4(6, "192.0.2.1", address(3), tcp(1, 2, SYN)))) == {3}
    ports["p2"]["allowed_addresses"] = ["10.9.0.0/16"]
    with pytest.raises(ValueError, match=r"ports p1 and p2 both have addresses of 10\.9\.0\.0/16"):
        config.read("n", {"ports": ports})
    ports["p2"]["allowed_addresses"] = ["10.9.0"]
    with pytest.raises(ValueError, match=r"port p2: allowed_addresses '10\.9\.0' is no IPv4 network"):
        config.read("n", {"ports": ports})
