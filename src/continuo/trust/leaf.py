"""What the leaf certificate of an X509-SVID must look like; everything else is refused with a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from continuo.trust.ids import BadId, SpiffeId, parse_id

E = TypeVar("E", bound=x509.ExtensionType)
_BOTH = frozenset((ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH))


class BadSvid(ValueError):
    """A certificate that is no X509-SVID of a workload; `str()` is one sentence."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a certificate that keeps the rules says. Whether its issuer may say so is another question."""

    spiffe_id: SpiffeId
    since: datetime
    until: datetime


def read_leaf(der: bytes) -> Leaf:
    """Check the rules that concern the leaf alone; BadSvid says which one it breaks."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = certificate.extensions
        spiffe_id = _only_id(extensions)
        _check_uses(extensions)
    except BadSvid:
        raise
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise BadSvid(f"the certificate cannot be read: {error}") from error
    return Leaf(spiffe_id, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _only_id(extensions: x509.Extensions) -> SpiffeId:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise BadSvid("the certificate names no SPIFFE ID: it has no subject alternative name") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise BadSvid(
            f"the certificate has {len(uris)} URIs among its subject alternative names; an SVID has exactly one"
        )
    try:
        found = parse_id(uris[0])
    except BadId as error:
        raise BadSvid(f"the certificate names no SPIFFE ID: {error}") from error
    if str(found) != uris[0]:
        raise BadSvid(f"the certificate's ID {uris[0]!r} is not in its normal form {str(found)!r}")
    return found


def _check_uses(extensions: x509.Extensions) -> None:
    constraints = _optional(extensions, x509.BasicConstraints)
    if constraints is not None and constraints.value.ca:
        raise BadSvid("the certificate is that of an authority; a workload's has cA=false")
    usage = _optional(extensions, x509.KeyUsage)
    if usage is None:
        raise BadSvid("the certificate has no key usage; an SVID's is digitalSignature")
    if not usage.critical:
        raise BadSvid("the certificate's key usage is not critical; an SVID's is")
    if not usage.value.digital_signature:
        raise BadSvid("the certificate's key may not sign (digitalSignature); an SVID's may")
    if usage.value.key_cert_sign or usage.value.crl_sign:
        raise BadSvid("the certificate's key may sign certificates or revocation lists; an SVID's may not")
    extended = _optional(extensions, x509.ExtendedKeyUsage)
    if extended is not None and not set(extended.value) >= _BOTH:
        raise BadSvid(
            "the certificate's extended key usage lacks serverAuth or clientAuth; an SVID has both or none at all"
        )


def _optional(extensions: x509.Extensions, kind: type[E]) -> x509.Extension[E] | None:
    try:
        return extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
