"""Connections, shared by all clusters that stand behind the same TLS setup.

Hundreds of clusters may answer at one address (the embedded engine) or with one identity (a management cluster's
namespaces): they share one keep-alive pool here, made when first needed and closed with the last user.
"""

from __future__ import annotations

from typing import Protocol

import aiohttp

from continuo.kube.access import Tls

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


def _open(tls: Tls) -> aiohttp.ClientSession:
    # No limit here: every watch holds a connection for minutes. Clients bound their own short requests.
    connector = aiohttp.TCPConnector(ssl=tls.context(), limit=0, ttl_dns_cache=30)
    return aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=2**18,
        raise_for_status=False,
    )
