"""What a relay is told: where readings come from, and to whom they go. Plain data, the same on the wire and in memory."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1, max_length=253)]
Url = Annotated[str, Meta(min_length=8, max_length=2048, pattern=r"^https?://")]


class Source(Struct, frozen=True, kw_only=True, rename="camel"):
    """One topic of one edge node: what KubeEdge's router takes as the source of a rule."""

    namespace: Text
    """That of the Rule, which is the first level of the topic on the edge's MQTT broker."""
    node: Text
    topic: Annotated[str, Meta(min_length=1, max_length=1024)]
    """Without the namespace."""


class Scheme(StrEnum):
    """How the relay proves to a target that a reading comes from it."""

    NONE = "none"
    BEARER = "bearer"
    """`Authorization: Bearer`, with a token that the buyer chose."""
    SIGNED = "signed"
    """Standard Webhooks: an HMAC-SHA256 over identity, time and body, with a key that the buyer chose."""
    SPIFFE = "spiffe"
    """Mutual TLS: the relay shows its SVID and requires the identity that the buyer named."""


class Authentication(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a target asks for. `secret` is never shown again."""

    scheme: Scheme = Scheme.NONE
    secret: Annotated[str, Meta(max_length=4096)] = ""
    spiffe_id: Annotated[str, Meta(max_length=2048)] = ""


class Target(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An endpoint of a buyer."""

    url: Url
    addresses: Annotated[tuple[Annotated[str, Meta(max_length=45)], ...], Meta(max_length=16)] = ()
    """What its name was resolved to when it was checked; nothing else is connected to. None: the URL has an address."""
    authentication: Authentication = Authentication()


class Flow(Struct, frozen=True, kw_only=True, rename="camel"):
    """One sensor of a route."""

    sensor: Text
    """Its UID."""
    source: Source
    max_rate: Annotated[float, Meta(ge=0)] = 0.0
    """Readings a second that were bought; 0: all that come."""
    device: Annotated[str, Meta(max_length=2048)] = ""
    """The SPIFFE ID of who measures; empty: nobody knows."""


class Route(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one contract delivers. Told again with the same `name`, it replaces what was told before."""

    name: Text
    """The contract's."""
    buyer: Text
    flows: Annotated[tuple[Flow, ...], Meta(min_length=1, max_length=1024)]
    targets: Annotated[tuple[Target, ...], Meta(min_length=1, max_length=64)]
    commands: bool = False
    """Whether the buyer may send the other way, to its sensors' devices."""


class Delivered(Struct, frozen=True, kw_only=True, rename="camel"):
    """How it goes with one target of a route."""

    url: str
    """Without user, password and query."""
    delivered: int
    """Readings that the target took."""
    bytes: int
    failed: int
    """Attempts that did not succeed."""
    dead: int
    """Readings that were given up."""
    queued: int
    dropped: int
    """Readings that a full queue had no room for."""
    p50: float | None = None
    """Milliseconds from when a reading came to the relay until the target had taken it; None before the first."""
    p99: float | None = None
    last_delivered: str | None = None
    """RFC 3339."""
    trouble: str = ""
    """Why the last attempt failed, in one sentence; empty while all is well."""


class Heard(Struct, frozen=True, kw_only=True, rename="camel"):
    """What came of one sensor of a route."""

    sensor: str
    received: int
    last_received: str | None = None
    """RFC 3339."""
    silent: float = 0.0
    """Seconds since its last reading; since the route was told if none came."""
    unproven: int = 0
    """Readings that came and were not delivered, since no gateway has proved that it speaks for the device."""
    trouble: str = ""
    """Why its readings are not delivered at present, in a few words; empty while they are."""


class RouteStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """How it goes with a route."""

    name: str
    received: int
    last_received: str | None
    """RFC 3339."""
    flows: tuple[Heard, ...]
    targets: tuple[Delivered, ...]
    unproven: int = 0
    """Readings that came and were not delivered, of all its flows."""
    trouble: str = ""
    """Why readings of one of its flows are not delivered at present, in one sentence; empty while they all are."""


class Delegated(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom the relay lets a gateway speak for, and how long."""

    device: str
    gateway: str
    level: str
    until: str
    """RFC 3339."""


class Doubted(Struct, frozen=True, kw_only=True, rename="camel"):
    """A delegation that was not taken."""

    number: int
    """Its place among those that were shown, from 0."""
    detail: str
    """Why, in one sentence, without the token."""


class Proof(Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of delegations that a gateway has shown."""

    instance: str
    """Which run of the relay has them: another one has none."""
    accepted: tuple[Delegated, ...] = ()
    refused: tuple[Doubted, ...] = ()
