"""Ethernet frames in a stream, and what a switch needs to know of one.

In the stream each frame follows its length: two bytes, the higher first. A segment of TCP says nothing of where a frame
ends, so nothing is read out of those. What is shorter than an Ethernet header is said between the two ends: nothing at
all keeps the connection alive, one byte says why it is closed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

ETHERNET = 14
"""Bytes of an Ethernet header."""
LARGEST_MTU = 9000
KEEPALIVE = b""
UPGRADE = "continuo-frames"
"""What an HTTP connection is upgraded to (`Upgrade: continuo-frames`)."""
PATH = "/v1/networks/ports/"
"""Where a port's connection is opened: this and the port's UUID."""

BROADCAST = b"\xff" * 6
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
VLANS = frozenset({0x8100, 0x88A8, 0x9100})
ICMP, TCP, UDP = 1, 6, 17

_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_IPV4 = struct.Struct("!BxHHHxBxx4s4s")
_IPV6 = struct.Struct("!IHBx16s16s")
_PORTS = struct.Struct("!HH")


class Closing(IntEnum):
    """Why one end closes, in one byte."""

    REPLACED = 1
    """A newer connection of the same port is there."""
    REMOVED = 2
    """The port, or its network, is no more."""
    CHANGED = 3
    """Its token or address is another now."""


class Malformed(ValueError):
    """No frame that we carry; the text is one word or two, by which such frames are counted."""


class Decoder:
    """Frames out of a stream, whatever pieces that comes in."""

    def __init__(self, mtu: int) -> None:
        self.limit = mtu + ETHERNET
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole now; raises Malformed where one is longer than the network's MTU allows.

        After that the stream has no meaning: it must be closed.
        """
        if self._rest:
            data = self._rest + data
        frames, at, end = [], 0, len(data)
        while end - at >= 2:
            until = at + 2 + (data[at] << 8) + data[at + 1]
            if until - at - 2 > self.limit:
                raise Malformed("too long")
            if until > end:
                break
            frames.append(data[at + 2 : until])
            at = until
        self._rest = data[at:]
        return frames


def encode(frames: Iterable[bytes]) -> bytes:
    """Frames as they go into the stream, many in one write."""
    pieces = []
    for frame in frames:
        pieces.append(len(frame).to_bytes(2, "big"))
        pieces.append(frame)
    return b"".join(pieces)


class Arp(NamedTuple):
    """Who asks for, or tells, which address."""

    operation: int
    sender_mac: bytes
    sender: bytes
    target: bytes


class Ip(NamedTuple):
    """An IPv4 packet, as far as filters look. Ports of ICMP: its type and code."""

    protocol: int
    source: bytes
    destination: bytes
    ports: tuple[int, int] | None
    """None: a later fragment, which says none."""
    payload: int
    """Where in the frame the packet's own payload begins."""
    fragment: int | None
    """The packet's identification, where this is a fragment of it."""
    flags: int = 0
    """Of TCP."""


class Ipv6(NamedTuple):
    """An IPv6 header."""

    next_header: int
    source: bytes
    destination: bytes


class Frame(NamedTuple):
    """A frame's header, and what it carries."""

    destination: bytes
    source: bytes
    kind: int
    carried: Arp | Ip | Ipv6

    @property
    def group(self) -> bool:
        """Whether it goes to many (broadcast, multicast)."""
        return bool(self.destination[0] & 1)


def parse(frame: bytes) -> Frame:
    """Read a frame; raises Malformed where it is none that we carry."""
    if len(frame) < ETHERNET:
        raise Malformed("too short")
    destination, source, kind = _ETHERNET.unpack_from(frame)
    if source[0] & 1:
        raise Malformed("source is a group")
    if kind in VLANS:
        raise Malformed("vlan")
    if kind == IPV4:
        return Frame(destination, source, kind, _ipv4(frame))
    if kind == ARP:
        return Frame(destination, source, kind, _arp(frame))
    if kind == IPV6:
        return Frame(destination, source, kind, _ipv6(frame))
    raise Malformed("ethertype")


def _arp(frame: bytes) -> Arp:
    if len(frame) < ETHERNET + _ARP.size:
        raise Malformed("bad arp")
    hardware, protocol, hlen, plen, operation, mac, sender, _, target = _ARP.unpack_from(frame, ETHERNET)
    if (hardware, protocol, hlen, plen) != (1, IPV4, 6, 4) or operation not in (1, 2):
        raise Malformed("bad arp")
    return Arp(operation, mac, sender, target)


def _ipv4(frame: bytes) -> Ip:
    if len(frame) < ETHERNET + 20:
        raise Malformed("bad ipv4")
    first, total, identification, offset, protocol, source, destination = _IPV4.unpack_from(frame, ETHERNET)
    header = (first & 15) * 4
    if first >> 4 != 4 or not 20 <= header <= total <= len(frame) - ETHERNET:
        raise Malformed("bad ipv4")
    payload = ETHERNET + header
    fragment = identification if offset & 0x3FFF else None
    if skipped := offset & 0x1FFF:
        if skipped == 1 and protocol == TCP:
            raise Malformed("bad ipv4")  # it would lay another header over the first fragment's
        return Ip(protocol, source, destination, None, payload, fragment)
    ports, flags = _transport(frame, protocol, payload, ETHERNET + total)
    return Ip(protocol, source, destination, ports, payload, fragment, flags)


def _transport(frame: bytes, protocol: int, at: int, end: int) -> tuple[tuple[int, int], int]:
    """Ports and flags of what a packet carries; a header in pieces is refused, since filters would see half of it."""
    if protocol == TCP:
        if end - at < 20:
            raise Malformed("bad tcp")
        return _PORTS.unpack_from(frame, at), frame[at + 13]
    if protocol == UDP:
        if end - at < 8:
            raise Malformed("bad udp")
        return _PORTS.unpack_from(frame, at), 0
    if protocol == ICMP:
        if end - at < 8:
            raise Malformed("bad icmp")
        return (frame[at], frame[at + 1]), 0
    return (0, 0), 0


def _ipv6(frame: bytes) -> Ipv6:
    if len(frame) < ETHERNET + 40:
        raise Malformed("bad ipv6")
    first, length, following, source, destination = _IPV6.unpack_from(frame, ETHERNET)
    if first >> 28 != 6 or length > len(frame) - ETHERNET - 40:
        raise Malformed("bad ipv6")
    return Ipv6(following, source, destination)
