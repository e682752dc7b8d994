"""One network's switch: what comes from a port goes to the ports of the same network that may have it, and nowhere else.

A port's MAC and address are configuration, so the table of who is where is never learned from what somebody claims: a
frame with another source is dropped where it came in, and a destination that is nobody's is not flooded.
No I/O: frames that are due are handed to the receiving ports' outboxes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from continuo.iot.frames import TCP, UDP, Arp, Frame, Ip, Malformed, parse
from continuo.iot.hub.networks import config, tracking
from continuo.iot.hub.networks.groups import Filter, allowed, filter_of

FLOODED, BURST = 200.0, 400.0
"""Frames to everybody that a port may send each second, and how many at once."""
SHORTCUTS = 8192
"""Flows that are remembered with their verdict."""
FRAGMENTS, REASSEMBLY = 1024, 30.0
"""Fragmented packets that are remembered, and for how many seconds."""
_NOBODY = b"\x00" * 4
_Fragment = tuple[str, bytes, bytes, int, int]


class Outbox(Protocol):
    """Where a port's frames go."""

    def put(self, frame: bytes) -> int:
        """Queue a frame; how many older ones it pushed out."""


class Port:
    """A port as it is now."""

    def __init__(self, told: config.Port, filter: Filter) -> None:
        self.told, self.filter = told, filter
        self.outbox: Outbox | None = None
        """None: its board's end is not there."""
        self.counters: Counter[str] = Counter()
        """received, sent (frames), received_bytes, sent_bytes, and `dropped <why>`."""
        self._tokens, self._since = BURST, 0.0

    def may_flood(self, now: float) -> bool:
        """Whether a frame to everybody is within the port's bound."""
        self._tokens = min(BURST, self._tokens + (now - self._since) * FLOODED)
        self._since = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def give(self, frame: bytes) -> None:
        """Send a frame to its board, or drop what waited longest where the board is too slow."""
        counters = self.counters
        if self.outbox is None:
            counters["dropped away"] += 1
            return
        if pushed := self.outbox.put(frame):
            counters["dropped slow"] += pushed
        counters["sent"] += 1
        counters["sent_bytes"] += len(frame)


@dataclass(slots=True)
class _Shortcut:
    """What was decided for a flow from one port."""

    sender: Port
    receiver: Port
    connection: tracking.Connection


class Switch:
    """One network. `now` is seconds of any clock that only goes on."""

    def __init__(self, network: config.Network) -> None:
        self.network = network
        self.ports: dict[str, Port] = {}
        self._at: dict[bytes, Port] = {}
        self._owner: dict[bytes, Port] = {}
        self._routers: list[Port] = []
        """Ports that lead to other networks."""
        self._connections = tracking.Connections()
        self._shortcuts: dict[bytes, _Shortcut] = {}
        self._fragments: dict[_Fragment, float] = {}
        self.change(network)

    def change(self, network: config.Network) -> None:
        """Be another from now on: connections that the rules still allow go on, the others end."""
        self.network = network
        self.ports = {one: self._port(told, network) for one, told in network.ports.items()}
        self._at = {port.told.mac: port for port in self.ports.values()}
        self._owner = {port.told.ip: port for port in self.ports.values()}
        self._routers = [port for port in self.ports.values() if port.told.allowed]
        self._shortcuts.clear()
        self._fragments.clear()
        self._connections.keep(self._still_allowed)

    def _port(self, told: config.Port, network: config.Network) -> Port:
        filter, known = filter_of(told, network.groups), self.ports.get(told.id)
        if known is None:
            return Port(told, filter)
        known.told, known.filter = told, filter
        return known

    def _still_allowed(self, connection: tracking.Connection) -> bool:
        protocol, source, _, destination, port = connection.flow
        sender, receiver = self._owner_of(source), self._owner_of(destination)
        if sender is None or receiver is None or sender.told.id != connection.opener:
            return False
        ports = (tracking.ECHO, 0) if protocol not in (TCP, UDP) else (0, port)
        return allowed(Ip(protocol, source, destination, ports, 0, None), sender.filter, receiver.filter)

    def _owner_of(self, address: bytes) -> Port | None:
        """The port that an address is of; it is behind a router only where it is no port's own."""
        owner = self._owner.get(address)
        if owner is None and self._routers:
            owner = next((port for port in self._routers if port.told.leads_to(address)), None)
        return owner

    def take(self, sender: Port, frame: bytes, now: float) -> None:
        """A frame came from a port."""
        sender.counters["received"] += 1
        sender.counters["received_bytes"] += len(frame)
        key = _key(frame)
        known = self._shortcuts.get(key) if key is not None else None
        if known is not None and known.sender is sender and known.connection.expires >= now:
            known.connection.refresh(now)
            known.receiver.give(frame)
            return
        try:
            receivers = self._judge(sender, frame, parse(frame), key, now)
        except Malformed as reason:
            sender.counters[f"dropped {reason}"] += 1
            return
        for receiver in receivers:
            receiver.give(frame)

    def _judge(self, sender: Port, frame: bytes, header: Frame, key: bytes | None, now: float) -> list[Port]:
        """The ports that get it; raises Malformed with the reason where nobody does."""
        self._pin(sender, header)
        if header.group:
            if not sender.may_flood(now):
                raise Malformed("storm")
            to = [port for port in self.ports.values() if port is not sender and port.outbox is not None]
            return [port for port in to if self._passes(sender, port, header, frame, now)]
        receiver = self._at.get(header.destination)
        if receiver is None or receiver is sender:
            raise Malformed("nobody there")
        if isinstance(header.carried, Ip) and self._owner_of(header.carried.destination) is not receiver:
            # Otherwise a connection that one port allows would be tracked as another's, and let in there.
            raise Malformed("foreign destination")
        if not self._passes(sender, receiver, header, frame, now):
            raise Malformed("security group")
        if key is not None and isinstance(header.carried, Ip):
            self._remember(key, sender, receiver, header.carried, frame, now)
        return [receiver]

    def _pin(self, sender: Port, header: Frame) -> None:
        """Refuse what claims to be of somebody else."""
        own, carried = sender.told, header.carried
        if header.source != own.mac:
            raise Malformed("foreign mac")
        if isinstance(carried, Arp):
            if carried.sender_mac != own.mac or carried.sender not in (own.ip, _NOBODY):
                raise Malformed("foreign arp")
        elif isinstance(carried, Ip):
            if carried.source != own.ip and self._owner_of(carried.source) is not sender:
                raise Malformed("foreign address")
        else:
            raise Malformed("ipv6")  # addresses are IPv4: whose this one is, nobody could say

    def _passes(self, sender: Port, receiver: Port, header: Frame, frame: bytes, now: float) -> bool:
        packet = header.carried
        if not isinstance(packet, Ip):
            return True  # ARP, whose sender is pinned
        if packet.ports is None:
            return self._fragments.get(_fragment(packet, receiver), 0.0) >= now
        passes = self._tracked(sender, receiver, header, packet, frame, now)
        if passes and packet.fragment is not None:
            self._keep_fragment(_fragment(packet, receiver), now)
        return passes

    def _tracked(self, sender: Port, receiver: Port, header: Frame, packet: Ip, frame: bytes, now: float) -> bool:
        flow = tracking.flow_of(packet, frame)
        found = self._connections.find(flow, now) if flow and not header.group else None
        if found:
            connection, answer = found
            connection.saw(answer, bool(packet.flags & (tracking.FIN | tracking.RST)), now)
            return True
        if allowed(packet, sender.filter, receiver.filter):
            if flow and not header.group:
                self._connections.open(flow, sender.told.id, now)
            return True
        about = tracking.quoted(packet, frame)
        if about is None or about[1] != packet.destination or self._owner_of(about[3]) is not sender:
            return False  # a router tells of packets for others, too
        return self._connections.find(about, now) is not None

    def _keep_fragment(self, key: _Fragment, now: float) -> None:
        self._fragments.pop(key, None)
        if len(self._fragments) >= FRAGMENTS:
            del self._fragments[next(iter(self._fragments))]
        self._fragments[key] = now + REASSEMBLY

    def _remember(self, key: bytes, sender: Port, receiver: Port, packet: Ip, frame: bytes, now: float) -> None:
        """The same answer next time without looking: once both sides have spoken, nothing new can be learned."""
        flow = tracking.flow_of(packet, frame)
        found = self._connections.find(flow, now) if flow else None
        if found is None or not found[0].answered:
            return
        if len(self._shortcuts) >= SHORTCUTS:
            self._shortcuts.clear()
        self._shortcuts[key] = _Shortcut(sender, receiver, found[0])


def _key(frame: bytes) -> bytes | None:
    """What tells a flow from others; None for anything but a whole packet of TCP or UDP that opens or ends nothing.

    The key has both MACs, the address family, both addresses and both ports; only pinned frames are ever remembered.
    """
    size = len(frame)
    if size < 42 or frame[12:15] != b"\x08\x00\x45" or frame[20] & 0x3F or frame[21]:
        return None
    protocol = frame[23]
    if protocol != UDP and (protocol != TCP or size < 54 or frame[47] & 7):
        return None
    if int.from_bytes(frame[16:18], "big") > size - 14:
        return None
    return frame[:12] + frame[23:24] + frame[26:38]


def _fragment(packet: Ip, receiver: Port) -> _Fragment:
    return receiver.told.id, packet.source, packet.destination, packet.protocol, packet.fragment or 0
