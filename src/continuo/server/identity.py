"""How an HTTP server requires SPIFFE identities: what uvicorn is told, and what handlers see.

Each request's ASGI scope has `scope["spiffe_id"]` (SpiffeId) and `scope["spiffe_peer"]` (Peer, with the certificate).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.trust.identity import Identity, Peer
from continuo.trust.ids import Authorize, SpiffeId


def uvicorn_options(identity: Identity, authorize: Authorize) -> dict[str, Any]:
    """Keyword arguments for `uvicorn.Config`: mutual TLS, the protocols that know their peer."""
    raise NotImplementedError("follows within the hour")


def peer_id(scope: Mapping[str, Any]) -> SpiffeId | None:
    """Who sent this request; None where the server runs without identities (`--insecure`)."""
    found: SpiffeId | None = scope.get("spiffe_id")
    return found


def peer(scope: Mapping[str, Any]) -> Peer | None:
    """The same with the certificate, as `verify_delegation` wants it."""
    found: Peer | None = scope.get("spiffe_peer")
    return found
