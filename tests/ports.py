"""Ports for what listens again and again at one address: none of those that the kernel gives away to others meanwhile."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from pathlib import Path

LOWEST = 20_000


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """So many ports that are free now, below those from which the kernel takes one for every outgoing connection."""
    found: list[int] = []
    with ExitStack() as held:
        for _ in range(100 * count):
            if len(found) == count:
                return found
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((host, LOWEST + secrets.randbelow(_ephemeral() - LOWEST)))
            except OSError:
                continue
            found.append(int(probe.getsockname()[1]))
    raise AssertionError(f"{count} free ports of {host} between {LOWEST} and {_ephemeral()} were not found")


def free_port(host: str = "127.0.0.1") -> int:
    """One of them."""
    return free_ports(1, host)[0]


def _ephemeral() -> int:
    """The first port that the kernel gives away by itself."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        first = 0
    return first if first > LOWEST + 1000 else 32_768
