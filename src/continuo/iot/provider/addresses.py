"""Where the provider may be sent by people who write objects: not to a cloud's metadata, nor where its operator says no."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from continuo.iot.provider.external import NotSent, Refused

_METADATA = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32")


def networks(texts: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    """Networks as users write them; raises ValueError for what is none."""
    return [ip_network(text) for text in texts]


class Reach:
    """Networks that are refused. Endpoints are mostly private, so what is private is not."""

    def __init__(self, denied: Iterable[str] = ()) -> None:
        """Raises ValueError for what is no network."""
        self._denied = networks((*_METADATA, *denied))

    async def check(self, url: str) -> None:
        """Raises Refused where the address leads to such a network, NotSent where nobody knows where it leads."""
        host = urlsplit(url).hostname
        if not host:
            raise Refused(f"{url!r} names no host")
        try:
            async with asyncio.timeout(10.0):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError) as error:
            raise NotSent(f"{host} has no address: {error}") from error
        for entry in found:
            address = ip_address(str(entry[4][0]).partition("%")[0])
            mapped = getattr(address, "ipv4_mapped", None) or address
            for network in self._denied:
                if mapped.version == network.version and mapped in network:
                    raise Refused(f"{host} is {mapped}, which is in {network}, where the provider sends nothing")
