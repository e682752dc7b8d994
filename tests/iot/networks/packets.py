"""Frames, made by hand."""

from __future__ import annotations

import struct

ALL = "ff:ff:ff:ff:ff:ff"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ip(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


def ethernet(destination: str, source: str, kind: int, payload: bytes) -> bytes:
    return mac(destination) + mac(source) + kind.to_bytes(2, "big") + payload


def ipv4(
    protocol: int,
    source: str,
    destination: str,
    payload: bytes,
    *,
    number: int = 1,
    offset: int = 0,
    more: bool = False,
) -> bytes:
    """An IPv4 packet; `offset` in units of eight bytes."""
    place = offset | (0x2000 if more else 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), number, place, 64, protocol, 0)
    return head + ip(source) + ip(destination) + payload


def tcp(source: int, destination: int, flags: int = 2, payload: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", source, destination, 1, 0, 0x50, flags, 1024, 0, 0) + payload


def udp(source: int, destination: int, payload: bytes = b"") -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def icmp(kind: int, code: int = 0, number: int = 1, payload: bytes = b"") -> bytes:
    return struct.pack("!BBHHH", kind, code, 0, number, 1) + payload


def arp(operation: int, sender_mac: str, sender: str, target: str) -> bytes:
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac(sender_mac) + ip(sender) + b"\0" * 6 + ip(target)
