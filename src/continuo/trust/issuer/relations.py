"""Federation with one trust domain: where its bundle is, how that is trusted, and which bundle replaces which. Pure."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from continuo.trust.bundle_docs import Bundle
from continuo.trust.ids import TrustDomain, parse_domain, parse_id


class Profile(StrEnum):
    """How a bundle endpoint proves itself."""

    SPIFFE = "https_spiffe"
    """By an X509-SVID with a known ID."""
    WEB = "https_web"
    """By a certificate for its host name, as any web server."""


class BadRelation(ValueError):
    """A federation that cannot be; `str()` is one sentence."""


class Relation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """All of it is configured: nothing is derived from anything else."""

    trust_domain: str
    url: str
    profile: Profile = Profile.SPIFFE
    endpoint_id: str | None = None
    """The SPIFFE ID that the endpoint proves, at profile https_spiffe."""


def check(relation: Relation, own: TrustDomain) -> Relation:
    """The same; BadRelation or BadId when it cannot be."""
    domain = parse_domain(relation.trust_domain)
    if domain == own:
        raise BadRelation(f"{domain} is this issuer's own trust domain; it federates with others")
    parts = urlsplit(relation.url)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password or parts.fragment:
        raise BadRelation(f"{relation.url!r} is no bundle endpoint; one looks like https://host:8443/")
    if (relation.profile is Profile.SPIFFE) != (relation.endpoint_id is not None):
        raise BadRelation(
            "the endpoint's SPIFFE ID belongs to profile https_spiffe: there it is needed, at https_web it means nothing"
        )
    if relation.endpoint_id is not None:
        parse_id(relation.endpoint_id)
    return relation


def replaces(new: Bundle, old: Bundle | None) -> bool:
    """Whether a fetched bundle takes the place of the one known; BadRelation when it is older, or contradicts it."""
    if old is None or new.sequence > old.sequence:
        return True
    same = (new.x509, dict(new.jwt), new.hint) == (old.x509, dict(old.jwt), old.hint)
    if new.sequence < old.sequence:
        raise BadRelation(f"the bundle has sequence {new.sequence}, and {old.sequence} was there before")
    if not same and new.sequence > 0:
        raise BadRelation(f"the bundle differs from the one before, and has the same sequence {new.sequence}")
    return not same
