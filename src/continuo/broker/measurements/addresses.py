"""To where the broker sends probes: never to itself, nor to what only its own machine or network segment should reach.

A provider says where its probe listens, so it could name a metadata service or the broker's own ports instead.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadAddress(OSError):
    """An address that is not asked; `str()` is a sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.strerror = sentence  # what the HTTP client tells of it


class Addresses:
    """Which addresses may be asked."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def check(self, host: str) -> None:
        """Raises BadAddress for an address that is not asked; names are checked when they are resolved."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return
        plain = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped else address
        if any(plain.version == network.version and plain in network for network in self._allowed):
            return
        if plain.is_loopback or plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain.is_reserved:
            raise BadAddress(f"{host} is not asked: a probe has to be at an address of its provider's")

    def check_url(self, url: str) -> str:
        """The URL, if it is one of a probe; raises BadAddress."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise BadAddress(f"{url[:200]!r} is no address of a probe: {error}") from error
        plain = not (parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/"))
        if parts.scheme not in ("http", "https") or not host or not plain:
            raise BadAddress(
                f"{url[:200]!r} is no address of a probe: it must be http://HOST:PORT or https://HOST:PORT"
            )
        self.check(host)
        return url.rstrip("/")


class CheckedResolver(AbstractResolver):
    """Resolves names, and refuses what they must not lead to."""

    def __init__(self, addresses: Addresses, resolver: AbstractResolver) -> None:
        self._addresses, self._resolver = addresses, resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name; one bad one spoils them all."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            self._addresses.check(each["host"])
        return found

    async def close(self) -> None:
        """Close what resolves."""
        await self._resolver.close()


def connector(addresses: Addresses) -> aiohttp.TCPConnector:
    """For the prober's session: checked names, one connection for each probe at a time."""
    return aiohttp.TCPConnector(
        resolver=CheckedResolver(addresses, aiohttp.ThreadedResolver()), limit=0, limit_per_host=2, keepalive_timeout=60
    )
