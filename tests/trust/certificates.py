"""Certificates that can be made wrong in one place at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from continuo.trust.issuer.authority import Authority
from continuo.trust.svid import Svid

ID = "spiffe://a.example/cp/rear"
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
SERVER_ONLY, CLIENT_ONLY = BOTH[:1], BOTH[1:]


def usage(**more: bool) -> x509.KeyUsage:
    all_off = dict.fromkeys(
        (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        ),
        False,
    )  # fmt: skip
    return x509.KeyUsage(**{**all_off, "digital_signature": True, **more})


SIGNS = usage()


def leaf(
    authority: Authority,
    *,
    uris: Sequence[str] = (ID,),
    names: Sequence[x509.GeneralName] = (),
    ca: bool | None = False,
    key_usage: x509.KeyUsage | None = SIGNS,
    critical: bool = True,
    extended: Sequence[x509.ObjectIdentifier] | None = BOTH,
    since: timedelta = timedelta(minutes=-5),
    until: timedelta = timedelta(hours=1),
    signer: ec.EllipticCurvePrivateKey | None = None,
    issuer: x509.Name | None = None,
) -> Svid:
    """An SVID of that authority, or nearly one."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test")]))
        .issuer_name(issuer or authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
    )
    for extension, is_critical in _extensions(authority, uris, names, ca, key_usage, critical, extended):
        builder = builder.add_extension(extension, is_critical)
    made = builder.sign(signer or authority.key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    from continuo.trust.ids import parse_id

    return Svid(parse_id(ID), now + since, now + until, (made.public_bytes(Encoding.DER),), pem)


def _extensions(
    authority: Authority, uris: Any, names: Any, ca: Any, key_usage: Any, critical: bool, extended: Any
) -> list[tuple[Any, bool]]:
    found: list[tuple[Any, bool]] = [
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False)
    ]
    alternatives = [*map(x509.UniformResourceIdentifier, uris), *names]
    if alternatives:
        found.append((x509.SubjectAlternativeName(alternatives), False))
    if ca is not None:
        found.append((x509.BasicConstraints(ca=ca, path_length=None), True))
    if key_usage is not None:
        found.append((key_usage, critical))
    if extended is not None:
        found.append((x509.ExtendedKeyUsage(extended), False))
    return found
