"""A reading as an HTTP request: CloudEvents in binary mode, and the proof that it comes from the relay. Pure."""

from __future__ import annotations

import hashlib
import hmac
import importlib.metadata
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

from continuo.edge.relay.endpoints import Endpoint, signing_key
from continuo.edge.relay.model import Authentication, Scheme, Source
from continuo.edge.relay.reading import Reading, rfc3339

TYPE = "dev.continuo.sensor.reading"
AGENT = f"continuo-relay/{importlib.metadata.version('continuo')}"
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')

Sign = Callable[[Reading, int], bytes]
"""Headers that depend on the reading and on the time of the attempt (seconds since 1970)."""


def attribute(text: str) -> str:
    """An attribute's value as CloudEvents wants it in a header: percent-encoded where it is not printable ASCII."""
    return quote(text, safe=_PLAIN)


def event_source(source: Source) -> str:
    """The event's source: a path of namespace, node and topic."""
    return "/" + "/".join(quote(part, safe="/" if part is source.topic else "") for part in (
        source.namespace, source.node, source.topic,
    ))  # fmt: skip


def common(reading: Reading, content_type: str) -> bytes:
    """What is the same for every target."""
    return (
        f"ce-id: {reading.identity}\r\nce-time: {rfc3339(reading.time)}\r\nce-sequence: {reading.sequence:020d}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(reading.body)}\r\n"
    ).encode()


def opening(endpoint: Endpoint, how: Authentication, source: Source, sensor: str) -> bytes:
    """What is the same for every reading of a sensor to a target."""
    lines = [
        f"POST {endpoint.path} HTTP/1.1", f"Host: {endpoint.authority}", f"User-Agent: {AGENT}",
        "ce-specversion: 1.0", f"ce-type: {TYPE}", f"ce-source: {event_source(source)}", f"ce-subject: {attribute(sensor)}",
    ]  # fmt: skip
    if how.scheme is Scheme.BEARER:
        lines.append(f"Authorization: Bearer {how.secret}")
    return ("\r\n".join(lines) + "\r\n").encode()


def signer(how: Authentication) -> Sign | None:
    """Standard Webhooks: an HMAC-SHA256 over identity, time and body. None where nothing is signed."""
    if how.scheme is not Scheme.SIGNED:
        return None
    key = signing_key(how.secret)

    def sign(reading: Reading, at: int) -> bytes:
        signed = hmac.digest(key, b"%b.%d.%b" % (reading.identity.encode(), at, reading.body), hashlib.sha256)
        return (
            f"webhook-id: {reading.identity}\r\nwebhook-timestamp: {at}\r\n"
            f"webhook-signature: v1,{b64encode(signed).decode()}\r\n"
        ).encode()

    return sign
