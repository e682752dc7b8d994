"""SPIFFE IDs, strictly: what they may look like, and which of them may do something.

The parsers are the `spiffe` package's. Before them stands what they let through: a line feed at the end, letters outside
ASCII that become ASCII when lowered, and names longer than the standard allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from spiffe import SpiffeId, TrustDomain
from spiffe.errors import PySpiffeError

__all__ = [
    "Authorize",
    "Authorized",
    "BadId",
    "SpiffeId",
    "TrustDomain",
    "device_id",
    "gateway_id",
    "parse_domain",
    "parse_id",
]

Authorize = Callable[[SpiffeId], bool]
"""Whether somebody who has proved that ID may go on. Pure, and fast: it is asked in every handshake."""

_LONGEST_ID = 2048
_LONGEST_DOMAIN = 255


class BadId(ValueError):
    """A text that is no SPIFFE ID or trust domain; `str()` is one sentence."""


def parse_id(text: str) -> SpiffeId:
    """The SPIFFE ID of a workload or device, such as `spiffe://edge.example/gw/1`; BadId says what is wrong with it."""
    shown = repr(text[:120])
    if not text.isascii() or not text.isprintable():
        raise BadId(f"{shown} is no SPIFFE ID: it has characters other than the printable ones of ASCII")
    if len(text) > _LONGEST_ID:
        raise BadId(f"{shown}... is no SPIFFE ID: it has {len(text)} characters, and at most {_LONGEST_ID} are allowed")
    try:
        found = SpiffeId(text)
    except PySpiffeError as error:
        raise BadId(f"{shown} is no SPIFFE ID: {_why(error)}; one looks like spiffe://trust.domain/path") from error
    if len(found.trust_domain.name) > _LONGEST_DOMAIN:
        raise BadId(f"{shown}... is no SPIFFE ID: its trust domain is longer than {_LONGEST_DOMAIN} characters")
    if not found.path:
        raise BadId(f"{shown} is the ID of a trust domain; that of a workload has a path, as in {text}/name")
    return found


def parse_domain(text: str) -> TrustDomain:
    """A trust domain by its name, such as `edge.example`, or by its own ID `spiffe://edge.example`."""
    name = text.removeprefix("spiffe://")
    if not name.isascii() or not name.isprintable() or "/" in name or len(name) > _LONGEST_DOMAIN:
        raise BadId(
            f"{text[:120]!r} is no trust domain: at most {_LONGEST_DOMAIN} letters, digits, dots, dashes and underscores"
        )
    try:
        return TrustDomain(name)
    except PySpiffeError as error:
        raise BadId(f"{text[:120]!r} is no trust domain: {_why(error)}; one looks like edge.example") from error


def _why(error: PySpiffeError) -> str:
    """What the package says, without what it says it about: that stands before it already."""
    return str(error).rpartition(": ")[2]


def device_id(domain: TrustDomain, name: str, uid: str) -> SpiffeId:
    """A leaf device: its name, and the unique ID of its silicon in hex."""
    return parse_id(f"spiffe://{domain.name}/led/{name}-{uid}")


def gateway_id(domain: TrustDomain, name: str) -> SpiffeId:
    """What stands between leaf devices and the network."""
    return parse_id(f"spiffe://{domain.name}/gw/{name}")


@dataclass(frozen=True, slots=True)
class Authorized:
    """Who may: these IDs, everybody below these paths, everybody of these trust domains. Empty: nobody.

    A path prefix covers whole segments: `spiffe://a.example/gw` covers `/gw/1`, and neither `/gw` itself nor `/gwx`.
    """

    ids: frozenset[SpiffeId] = frozenset()
    below: frozenset[SpiffeId] = frozenset()
    domains: frozenset[TrustDomain] = frozenset()

    @classmethod
    def of(cls, *, ids: Iterable[str] = (), below: Iterable[str] = (), domains: Iterable[str] = ()) -> Authorized:
        """From texts, as options and manifests have them; BadId when one is wrong. `below` may end with a slash."""
        return cls(
            frozenset(map(parse_id, ids)),
            frozenset(parse_id(prefix.removesuffix("/")) for prefix in below),
            frozenset(map(parse_domain, domains)),
        )

    def __call__(self, spiffe_id: SpiffeId) -> bool:
        if spiffe_id in self.ids or spiffe_id.trust_domain in self.domains:
            return True
        return any(
            spiffe_id.trust_domain == prefix.trust_domain and spiffe_id.path.startswith(f"{prefix.path}/")
            for prefix in self.below
        )
