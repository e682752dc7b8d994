"""What every service takes to prove who it is, and to know who the others are.

    identity = WorkloadApi.from_environment()            # or Issuer(...).identity("spiffe://edge.example/cp/rear")
    async with identity:
        uvicorn.Config(app, **server.identity.uvicorn_options(identity, Authorized.of(domains=["b.example"])))
        aiohttp.ClientSession(connector=trust.http.PeerConnector(identity.client_context(Authorized.of(ids=[relay]))))

The contexts are made once and follow the identity: each handshake uses the SVID and the bundles of that moment.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from continuo.trust.bundles import Bundles
from continuo.trust.changes import Changes
from continuo.trust.ids import Authorize, SpiffeId

__all__ = ["Bundles", "Changes", "Identity", "NoIdentity", "Peer", "PeerRejected"]


class PeerRejected(ssl.SSLCertVerificationError):
    """The other end has not proved an ID that may go on. An SSLError, so that every library closes the connection."""


class NoIdentity(Exception):
    """There is no SVID (yet), or no longer; `str()` is one sentence that says where one was looked for."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, proved."""

    spiffe_id: SpiffeId
    certificate: bytes
    """Its leaf certificate, in DER."""
    until: datetime
    """When the first of the two SVIDs of this connection ends."""


@runtime_checkable
class Identity(Protocol):
    """A workload's own identity, for as long as it runs; SVID and bundles change underneath."""

    @property
    def spiffe_id(self) -> SpiffeId:
        """Raises NoIdentity as long as there is none."""
        ...

    @property
    def bundles(self) -> Bundles:
        """Whom this workload believes now."""
        ...

    @property
    def changes(self) -> Changes:
        """Tells when SVID or bundles have changed: `subscribe(callback)`, or `await wait()`."""
        ...

    def server_context(self, authorize: Authorize) -> ssl.SSLContext:
        """For uvicorn, asyncio and the like: admits clients whose ID `authorize` takes, and nobody else."""
        ...

    def client_context(self, authorize: Authorize) -> ssl.SSLContext:
        """For aiohttp, paho and the like: goes on only with servers whose ID `authorize` takes; host names do not matter."""
        ...

    async def jwt(self, audience: str) -> str:
        """A JWT-SVID of this workload for that audience (a SPIFFE ID), for where TLS ends in between. A secret."""
        ...
