"""Liqo's address management: which network a peer's network becomes, and how one address follows."""

from __future__ import annotations

import ipaddress

POOLS = ("10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12")


class Remap:
    """An address mapping that keeps the host bits, prepared once because pods use it often."""

    __slots__ = ("_hosts", "_network", "_seen", "cidr")

    def __init__(self, cidr: str) -> None:
        network = ipaddress.IPv4Network(cidr)
        self.cidr = cidr
        self._hosts = int(network.hostmask)
        self._network = int(network.network_address)
        self._seen: dict[str, str] = {}

    def __call__(self, ip: str) -> str:
        found = self._seen.get(ip)
        if found is None:
            if len(self._seen) > 100_000:
                self._seen.clear()
            found = self._seen[ip] = text_of(number_of(ip) & self._hosts | self._network)
        return found


def number_of(ip: str) -> int:
    """An IPv4 address as a number; raises ValueError for anything else."""
    return int(ipaddress.IPv4Address(ip))


def text_of(number: int) -> str:
    """The IPv4 address of a number."""
    return f"{number >> 24 & 255}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def dashed(prefix: str, cidr: str) -> str:
    """A name that says a network: `rome-pod-10-244-0-0-16`."""
    return f"{prefix}-{cidr.translate({ord(mark): '-' for mark in './'})}"


def span(cidr: str) -> tuple[int, int]:
    """The first and the last address of a network, as numbers."""
    network = ipaddress.IPv4Network(cidr)
    return int(network.network_address), int(network.broadcast_address)


class Ipam:
    """The networks in use in one cluster, each with its owner's key."""

    def __init__(self) -> None:
        self._used: dict[str, tuple[int, int]] = {}

    def hold(self, owner: str, cidr: str) -> None:
        """Note a network that is in use (as found in a status)."""
        self._used[owner] = span(cidr)

    def release(self, owner: str) -> None:
        """Forget what the owner held."""
        self._used.pop(owner, None)

    def acquire(self, owner: str, cidr: str, *, fixed: bool = False) -> str | None:
        """The network itself when it is free (or fixed), else another one of the same size; None: all full."""
        wanted = ipaddress.IPv4Network(cidr)
        taken = sorted(span for held, span in self._used.items() if held != owner)
        first, last = int(wanted.network_address), int(wanted.broadcast_address)
        if fixed or not any(low <= last and first <= high for low, high in taken):
            self._used[owner] = first, last
            return str(wanted)
        for pool in POOLS:
            low, high = span(pool)
            start = _free(low, high, wanted.num_addresses, taken)
            if start is not None:
                self._used[owner] = start, start + wanted.num_addresses - 1
                return f"{ipaddress.IPv4Address(start)}/{wanted.prefixlen}"
        return None


def _free(low: int, high: int, size: int, taken: list[tuple[int, int]]) -> int | None:
    """An aligned block of that size within a block: in a half that is in use already, if it fits there."""
    inside = [held for held in taken if held[0] <= high and low <= held[1]]
    if not inside:
        return low
    if high - low + 1 <= size:
        return None
    middle = (low + high) // 2
    halves = [(low, middle), (middle + 1, high)]
    used = [half for half in halves if any(held[0] <= half[1] and half[0] <= held[1] for held in inside)]
    for half in (*used, *(half for half in halves if half not in used)):
        start = _free(*half, size, inside)
        if start is not None:
            return start
    return None
