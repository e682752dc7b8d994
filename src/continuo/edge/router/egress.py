"""Where readings may be sent. Buyers name endpoints, so each is checked before anything is sent to it.

A name is resolved once, every address that it has is judged, and the relay connects to those addresses only: a name that
means something else tomorrow leads nowhere. Networks that lead back into ourselves are refused whatever a URL calls them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

LONGEST = 2048
MOST_ADDRESSES = 16
PATIENCE = 5.0
"""Seconds for a name server to answer."""
_METADATA = tuple(
    map(ip_network, ("169.254.169.254/32", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32"))
)
_EMBEDDING = (
    (ip_network("64:ff9b::/96"), "translated to IPv4 (NAT64)"),
    (ip_network("64:ff9b:1::/48"), "translated to IPv4 (NAT64)"),
    (ip_network("2002::/16"), "tunnelled to IPv4 (6to4)"),
    (ip_network("2001::/32"), "tunnelled to IPv4 (Teredo)"),
    (ip_network("::/96"), "an IPv4 address in disguise"),
)
_SHARED = ip_network("100.64.0.0/10")


class Refused(ValueError):
    """An endpoint to which nothing is sent; `str()` is a sentence."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a provider allows."""

    allowed: tuple[Network, ...] = ()
    """Networks that are no part of the internet and yet may be sent to, such as a customer's private range."""
    denied: tuple[Network, ...] = ()
    """Networks that may not: those of our own pods, services and machines. Wins over `allowed`."""
    ports: tuple[range, ...] = (range(80, 81), range(443, 444), range(1024, 65536))
    tls: bool = False
    """Whether only https is allowed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that is well formed."""

    url: str
    host: str
    port: int

    @property
    def shown(self) -> str:
        """The URL as it may be told to anybody: without what is asked for."""
        return shown(self.url)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks as a user writes them; raises Refused for what is none."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise Refused(f"{text!r} is no network: {error}; write one as 10.2.0.0/16 or fd12::/64") from error
    return tuple(found)


def shown(url: str) -> str:
    """A URL without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an endpoint that is no URL"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def parse(url: object, policy: Policy) -> Endpoint:
    """What a URL says, if it has the form of an endpoint. Raises Refused."""
    if not isinstance(url, str) or not url:
        raise Refused("an endpoint must be a URL such as https://sink.example.org/readings")
    if len(url) > LONGEST:
        raise Refused(f"an endpoint has {len(url)} characters: at most {LONGEST} are allowed")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise Refused("an endpoint has a space or a control character in it: encode it as %20 and the like")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"an endpoint is no URL: {error}") from error
    return _endpoint(url, parts, port, policy)


def _endpoint(url: str, parts: SplitResult, port: int | None, policy: Policy) -> Endpoint:
    name = shown(url)
    if parts.scheme not in ("http", "https"):
        raise Refused(f"{name} is not http or https: readings are delivered by HTTP only")
    if policy.tls and parts.scheme != "https":
        raise Refused(f"{name} is not encrypted, and this provider delivers by https only")
    if parts.username is not None or parts.password is not None:
        raise Refused(f"{name} has a user or a password in it: name an authentication instead")
    if parts.fragment:
        raise Refused(f"{name} has a fragment, which no server ever sees: leave out what follows the #")
    if "," in url:
        raise Refused(f"{name} has a comma in it, at which some of KubeEdge's routers split it: encode it as %2C")
    host = parts.hostname
    if not host or host.startswith(".") or ".." in host:
        raise Refused(f"{name} names no host")
    return Endpoint(url, host, _port(name, port or (443 if parts.scheme == "https" else 80), policy))


def _port(name: str, port: int, policy: Policy) -> int:
    if not any(port in allowed for allowed in policy.ports):
        told = ", ".join(
            str(each.start) if len(each) == 1 else f"{each.start}-{each.stop - 1}" for each in policy.ports
        )
        raise Refused(f"{name} leads to port {port}: allowed are {told}")
    return port


def why_not(address: Address, policy: Policy) -> str | None:
    """Why nothing is sent to an address; None when it may be."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if mapped is not None:
        return why_not(mapped, policy)
    if _within(address, _METADATA):
        return "a cloud's metadata service"
    if _within(address, policy.denied):
        return "one of the provider's own networks"
    if address.is_multicast or address.is_unspecified or address == ip_address("255.255.255.255"):
        return "no address of one machine"
    if _within(address, policy.allowed):
        return None
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    for network, what in _EMBEDDING:
        if address in network:
            return what
    if address in _SHARED:
        return "shared by a carrier's customers"
    return None if address.is_global else "private, and not among the networks that this provider allows"


def _within(address: Address, among: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in among)


async def pin(url: object, policy: Policy, resolve: Resolve) -> tuple[Endpoint, tuple[str, ...]]:
    """The endpoint and the addresses that may be connected to. Raises Refused, also where only one address is bad.

    Raises OSError or TimeoutError where nobody could say what the name means: that may pass.
    """
    endpoint = parse(url, policy)
    async with asyncio.timeout(PATIENCE):
        found = await resolve(endpoint.host, endpoint.port)
    if not found:
        raise OSError(f"{endpoint.shown}: {endpoint.host} has no address")
    for text in found:
        if why := why_not(ip_address(text), policy):
            led = "" if text == endpoint.host else f", which is what {endpoint.host} means,"
            raise Refused(f"{endpoint.shown} must not be sent to: {text}{led} is {why}")
    return endpoint, tuple(dict.fromkeys(found))[:MOST_ADDRESSES]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as this machine resolves it. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]).partition("%")[0] for entry in found})
