"""Which connections there are, so that answers pass where rules let the question through.

Bounded for each port that opens connections, and for all of a network: who opens more than that loses its own oldest, and
where all together are too many, who has most loses.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from continuo.iot.frames import ICMP, TCP, UDP, Ip

Flow = tuple[int, bytes, int, bytes, int]
"""Protocol, source and its port, destination and its port."""

PER_PORT, PER_NETWORK = 4096, 32768
OPENING, ESTABLISHED, CLOSING = 60.0, 3600.0, 30.0
"""Seconds without a packet after which a connection of TCP is forgotten."""
QUESTION, CONVERSATION = 30.0, 180.0
"""The same of anything else: before the first answer, and after it."""
FIN, RST = 1, 4
ECHO, ECHO_REPLY = 8, 0
ERRORS = frozenset({3, 11, 12})
_FEW = 16


class Connection:
    """One connection, by who opened it."""

    __slots__ = ("answered", "closing", "expires", "flow", "opener")

    def __init__(self, flow: Flow, opener: str, expires: float) -> None:
        self.flow, self.opener, self.expires = flow, opener, expires
        self.answered = self.closing = False

    def saw(self, answer: bool, closes: bool, now: float) -> None:
        """A packet went by."""
        self.answered |= answer
        self.closing |= closes
        self.refresh(now)

    def refresh(self, now: float) -> None:
        """It goes on."""
        if self.flow[0] != TCP:
            self.expires = now + (CONVERSATION if self.answered else QUESTION)
        elif self.closing:
            self.expires = now + CLOSING
        else:
            self.expires = now + (ESTABLISHED if self.answered else OPENING)


def flow_of(packet: Ip, frame: bytes) -> Flow | None:
    """The flow that a packet is of; None where it can have no answer of the same flow."""
    if packet.ports is None:
        return None
    if packet.protocol in (TCP, UDP):
        return packet.protocol, packet.source, packet.ports[0], packet.destination, packet.ports[1]
    if packet.protocol == ICMP:
        if packet.ports[0] not in (ECHO, ECHO_REPLY):
            return None
        number = int.from_bytes(frame[packet.payload + 4 : packet.payload + 6], "big")
        return ICMP, packet.source, number, packet.destination, number
    return packet.protocol, packet.source, 0, packet.destination, 0


def reverse(flow: Flow) -> Flow:
    """The same, seen from the other side."""
    return flow[0], flow[3], flow[4], flow[1], flow[2]


def quoted(packet: Ip, frame: bytes) -> Flow | None:
    """The flow that an ICMP error is about, as it quotes it; None where it is no error, or quotes nothing whole."""
    if packet.protocol != ICMP or packet.ports is None or packet.ports[0] not in ERRORS:
        return None
    at = packet.payload + 8
    if len(frame) < at + 28 or frame[at] >> 4 != 4:
        return None
    end = at + (frame[at] & 15) * 4
    protocol, source, destination = frame[at + 9], frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    if end < at + 20 or len(frame) < end + 8:
        return None
    if protocol in (TCP, UDP):
        one, other = int.from_bytes(frame[end : end + 2], "big"), int.from_bytes(frame[end + 2 : end + 4], "big")
    else:
        one = other = int.from_bytes(frame[end + 4 : end + 6], "big") if protocol == ICMP else 0
    return protocol, source, one, destination, other


class Connections:
    """The connections of one network."""

    def __init__(self, per_port: int = PER_PORT, per_network: int = PER_NETWORK) -> None:
        self._per_port, self._per_network = per_port, per_network
        self._all: dict[Flow, Connection] = {}
        self._of: dict[str, dict[Flow, Connection]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def find(self, flow: Flow, now: float) -> tuple[Connection, bool] | None:
        """The connection that a flow is of, and whether it is the answering side."""
        answer = False
        found = self._all.get(flow)
        if found is None:
            answer, found = True, self._all.get(reverse(flow))
        if found is None:
            return None
        if found.expires < now:
            self._forget(found)
            return None
        return found, answer

    def open(self, flow: Flow, opener: str, now: float) -> Connection:
        """A connection begins."""
        if len(self._of.get(opener, ())) >= self._per_port:
            self._forget_one(self._of[opener])
        elif len(self._all) >= self._per_network:
            self._forget_one(max(self._of.values(), key=len))
        connection = Connection(flow, opener, now)
        connection.refresh(now)
        self._all[flow] = self._of.setdefault(opener, {})[flow] = connection
        return connection

    def _forget_one(self, of: dict[Flow, Connection]) -> None:
        """The one that would be forgotten first, among the few that were opened first."""
        self._forget(min(islice(of.values(), _FEW), key=lambda one: one.expires))

    def keep(self, wanted: Callable[[Connection], bool]) -> None:
        """Forget all others: rules or ports have changed."""
        for connection in [one for one in self._all.values() if not wanted(one)]:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        del self._all[connection.flow]
        own = self._of[connection.opener]
        del own[connection.flow]
        if not own:
            del self._of[connection.opener]
