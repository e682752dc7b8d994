"""Connections, shared by all clusters that stand behind the same TLS setup.

Hundreds of clusters may answer at one address (the embedded engine) or with one identity (a management cluster's
namespaces): they share one keep-alive pool here, made when first needed and closed with the last user.
"""

from __future__ import annotations

import socket
from typing import Any, Protocol

import aiohttp

from continuo.kube.access import Tls

QUIET, BETWEEN, TRIES = 10, 3, 3
"""Seconds without a byte after which the other side's kernel is asked for a sign, seconds between such questions, and how
many may stay unanswered: some 20 s after a cluster fell off the network its watches know it."""
_OPTIONS = (("TCP_KEEPIDLE", QUIET), ("TCP_KEEPINTVL", BETWEEN), ("TCP_KEEPCNT", TRIES),
            ("TCP_USER_TIMEOUT", 1000 * (QUIET + BETWEEN * TRIES)))  # fmt: skip
"""The last is about what was sent and is not acknowledged; not every system has all of them."""
_HEADERS = {"User-Agent": "continuo", "Accept": "application/json"}


class CallObserver(Protocol):
    """Who wants to know of every call; must be quick and not raise."""

    def ended(self, client: str, verb: str, seconds: float, error: str | None) -> None:
        """A call ended, its repetitions included; `error` is the reason why it failed."""


class Transports:
    """The sessions of one process part (usually: of one ClusterSet or one command), by TLS setup."""

    def __init__(self, calls: CallObserver | None = None) -> None:
        self.calls = calls
        self._sessions: dict[Tls, aiohttp.ClientSession] = {}
        self._users: dict[Tls, int] = {}

    @property
    def open(self) -> int:
        """How many TLS setups have connections now."""
        return len(self._sessions)

    def acquire(self, tls: Tls) -> aiohttp.ClientSession:
        """The session for a TLS setup; every acquire is paired with one release. Needs a running loop."""
        session = self._sessions.get(tls)
        if session is None:
            session = self._sessions[tls] = _open(tls)
        self._users[tls] = self._users.get(tls, 0) + 1
        return session

    async def release(self, tls: Tls) -> None:
        """Give one use back; the last one closes the connections."""
        self._users[tls] -= 1
        if self._users[tls] == 0:
            del self._users[tls]
            await self._sessions.pop(tls).close()

    async def close(self) -> None:
        """Close everything, whoever still uses it."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        self._users.clear()
        for session in sessions:
            await session.close()


def watched_socket(address: tuple[Any, Any, int, str, Any]) -> socket.socket:
    """A socket for a connection whose other side may vanish without a word, as one behind a cut network does.

    A watch sends nothing for minutes, so nothing but the kernel's own questions would notice.
    """
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if (option := getattr(socket, name, None)) is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def _open(tls: Tls) -> aiohttp.ClientSession:
    # No limit here: every watch holds a connection for minutes. Clients bound their own short requests.
    connector = aiohttp.TCPConnector(ssl=tls.context(), limit=0, ttl_dns_cache=30, socket_factory=watched_socket)
    return aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=2**18,
        raise_for_status=False,
    )
