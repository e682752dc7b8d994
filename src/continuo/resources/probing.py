"""What the probers of a link and the operator tell each other: two ConfigMaps beside each prober, and no Secret.

The operator writes `peers`, the prober writes `measured`. A prober makes its key when it starts and keeps it in memory; what
it tells is the public half, so that nothing in either ConfigMap is worth stealing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from continuo.resources.meta import Object

PEERS: Final = "peers"
MEASURED: Final = "measured"
PROBER: Final = "prober"
"""The Deployment, its account and its role."""
PROBER_LABEL: Final = "continuo.dev/prober"
"""On the namespace of a prober, on both ConfigMaps, and on its pod."""
SELECT_PROBERS: Final = f"{PROBER_LABEL}=links"
PORT: Final = 8099
EVERY: Final = 600.0
"""Seconds between two measurements of one direction of a link."""
FRESH: Final = 1800.0
"""Seconds for which a measurement counts: two may fail before a figure is not known any more."""


class Peer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The prober at the other end of a link."""

    name: str
    """The cluster, as the orchestration calls it."""
    probe: str
    """The name that tokens for it are for."""
    url: str
    """`http://HOST:PORT`, as it is reached over the link from here."""
    key: str
    """Its public key, base64: whose tokens are answered here."""
    cluster_id: str = ""
    """What the link's engine calls the cluster."""


class Measurement(Struct, frozen=True, kw_only=True, rename="camel"):
    """What came from one peer."""

    bps: int
    """Bits in a second."""
    at: float
    """Seconds since 1970."""
    bytes: int
    """The size of the transfer that it was measured by."""


class Failure(Struct, frozen=True, kw_only=True, rename="camel"):
    """Why nothing came from one peer."""

    message: str
    at: float


class Told(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a prober says of itself and of its links."""

    key: str
    address: str
    """Of its pod, as its own cluster sees it."""
    port: int = PORT
    links: dict[str, Measurement] = {}
    """By the peer's name: what was received from there."""
    failures: dict[str, Failure] = {}
    """By the peer's name: why the last try failed; empty when it worked."""


_told = msgspec.json.Decoder(Told)
_peers = msgspec.json.Decoder(tuple[Peer, ...])
_encoder = msgspec.json.Encoder(order="deterministic")


def peers_data(peers: Iterable[Peer]) -> dict[str, str]:
    """The `data` of the ConfigMap `peers`."""
    return {PEERS: _encoder.encode(sorted(peers, key=lambda peer: peer.name)).decode()}


def read_peers(obj: Object | None) -> tuple[Peer, ...]:
    """What it says; raises ValueError where it says something else."""
    text = _text(obj, PEERS)
    return _peers.decode(text) if text else ()


def told_data(told: Told) -> dict[str, str]:
    """The `data` of the ConfigMap `measured`."""
    return {MEASURED: _encoder.encode(told).decode()}


def read_told(obj: Object | None) -> Told | None:
    """What a prober said; None before its first word. Raises ValueError where that is something else."""
    text = _text(obj, MEASURED)
    return _told.decode(text) if text else None


def _text(obj: Object | None, key: str) -> str:
    return str(((obj or {}).get("data") or {}).get(key) or "")
