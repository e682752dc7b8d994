"""What a board's port is told to be, read and checked: what comes over the network names interfaces and addresses here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from continuo.iot.frames import LARGEST_MTU, PATH

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_UUID = re.compile(r"[0-9A-Za-z-]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,1024}")
_PLAIN = frozenset({"http", "ws"})
_SECURE = frozenset({"https", "wss"})
SMALLEST_MTU = 68


@dataclass(frozen=True, slots=True)
class Route:
    """Where else packets go through this port."""

    to: str
    via: str


@dataclass(frozen=True, slots=True)
class Port:
    """One port, whole."""

    uuid: str
    vif: str
    mac: str
    ip: str
    """With its prefix length."""
    mtu: int
    host: str
    hub_port: int
    secure: bool
    path: str
    token: str = field(repr=False)
    routes: tuple[Route, ...]

    @property
    def interface(self) -> tuple[object, ...]:
        """What its TAP is made of; while this is the same, the TAP stays, whatever else is said of the port."""
        return self.vif, self.mac, self.ip, self.mtu, self.routes

    def leads_to(self, address: str) -> bool:
        """Whether packets to an address would go through this port."""
        nets = [ipaddress.IPv4Interface(self.ip).network, *(ipaddress.IPv4Network(route.to) for route in self.routes)]
        return any(ipaddress.ip_address(address) in net for net in nets)


def read(uuid: str, told: Mapping[str, Any]) -> Port:
    """Read a port; raises ValueError with a sentence, in which the token never is."""
    if not _UUID.fullmatch(uuid):
        raise ValueError(f"{uuid!r} is no UUID of a port")
    vif, mac, token = str(told.get("vif", "")), str(told.get("mac", "")).lower(), str(told.get("token", ""))
    if not _NAME.fullmatch(vif):
        raise ValueError(f"vif {vif!r} is no interface's name: 1 to 15 letters, digits, dots, dashes or underscores")
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1:
        raise ValueError(f"mac {mac!r} is no address of one device, such as fa:16:3e:00:00:01")
    if not _TOKEN.fullmatch(token):
        raise ValueError("token is missing, or has characters that no header carries")
    mtu = told.get("mtu") or 1400
    if not isinstance(mtu, int) or not SMALLEST_MTU <= mtu <= LARGEST_MTU:
        raise ValueError(f"mtu {mtu!r} is no number from {SMALLEST_MTU} to {LARGEST_MTU}")
    host, hub_port, secure, path = _url(str(told.get("url", "")), uuid)
    routes = tuple(_route(route) for route in told.get("routes") or ())
    return Port(uuid, vif, mac, _address(str(told.get("ip", ""))), mtu, host, hub_port, secure, path, token, routes)


def _address(ip: str) -> str:
    try:
        return str(ipaddress.IPv4Interface(ip if "/" in ip else ""))
    except ValueError:
        raise ValueError(f"ip {ip!r} is no IPv4 address with its prefix length, such as 10.5.0.2/24") from None


def _url(url: str, uuid: str) -> tuple[str, int, bool, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in _PLAIN | _SECURE or not re.fullmatch(r"[\x21-\x7e]*", parts.path):
        raise ValueError(f"url {url!r} is no address of a hub's networks, such as https://hub.example.org:8443")
    secure = parts.scheme in _SECURE
    path = parts.path if PATH in parts.path else f"{PATH}{uuid}"
    return host, port or (443 if secure else 80), secure, path


def _route(told: Mapping[str, Any]) -> Route:
    try:
        net = ipaddress.IPv4Network(str(told["to"]))
        return Route(str(net), str(ipaddress.IPv4Address(str(told["via"]))))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"route {told!r} does not say to which IPv4 network, and via which address") from None
