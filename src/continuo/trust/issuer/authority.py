"""One generation of an issuer's keys, and what they sign. Pure but for the random numbers of new keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from continuo.trust.bundle_docs import public_jwk
from continuo.trust.ids import SpiffeId, TrustDomain
from continuo.trust.svid import Svid

EARLIER = timedelta(seconds=30)
"""How far before now certificates begin, for clocks that are a little slow."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate, its key, and the key for tokens. `active_from`: before that it is only announced."""

    domain: TrustDomain
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    jwt_key: ec.EllipticCurvePrivateKey = field(repr=False)
    active_from: datetime

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def until(self) -> datetime:
        return self.certificate.not_valid_after_utc

    @property
    def since(self) -> datetime:
        return self.certificate.not_valid_before_utc

    @property
    def kid(self) -> str:
        """The name of the key for tokens: a hash of it."""
        public = self.jwt_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(public).hexdigest()[:32]

    @property
    def jwk(self) -> Mapping[str, Any]:
        return public_jwk(self.jwt_key.public_key())

    def svid(self, spiffe_id: SpiffeId, now: datetime, life: timedelta, dns_names: tuple[str, ...] = ()) -> Svid:
        """A new X509-SVID with a new key, which ends no later than this authority. Its first DNS name is also its CN."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(now + life, self.until).replace(microsecond=0)  # as a certificate says it
        names = [x509.UniformResourceIdentifier(str(spiffe_id)), *map(x509.DNSName, dns_names)]
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Continuo")]
        subject += [x509.NameAttribute(NameOID.COMMON_NAME, name[:64]) for name in dns_names[:1]]
        made = (
            _builder(x509.Name(subject), self.certificate.subject, key.public_key(), now - EARLIER, until)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Svid(spiffe_id, now, until, (made.public_bytes(Encoding.DER),), pem)

    def token(
        self, subject: SpiffeId, audience: list[str], now: datetime, life: timedelta, *, kind: str = "JWT", **more: Any
    ) -> str:
        """A signed token: a JWT-SVID, or with another `kind` something that is not taken for one."""
        until = min(now + life, self.until)
        claims = {
            "sub": str(subject),
            "aud": audience,
            "iat": int(now.timestamp()),
            "exp": int(until.timestamp()),
            **more,
        }
        return jwt.encode(claims, self.jwt_key, algorithm="ES256", headers={"kid": self.kid, "typ": kind})


def new_authority(domain: TrustDomain, now: datetime, life: timedelta, active_from: datetime) -> Authority:
    """A new generation: self-signed, with the ID of the trust domain itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Continuo"),
            x509.NameAttribute(NameOID.COMMON_NAME, domain.name[:64]),
        ]
    )
    certificate = (
        _builder(name, name, key.public_key(), now - EARLIER, now + life)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{domain.name}")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(domain, certificate, key, ec.generate_private_key(ec.SECP256R1()), active_from)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def to_record(authority: Authority) -> dict[str, str]:
    """As it is kept in a file that only its owner reads."""
    pem = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "certificate": authority.certificate.public_bytes(Encoding.PEM).decode(),
        "key": authority.key.private_bytes(*pem).decode(),
        "jwtKey": authority.jwt_key.private_bytes(*pem).decode(),
        "activeFrom": authority.active_from.isoformat(),
    }


def from_record(domain: TrustDomain, record: Mapping[str, str]) -> Authority:
    """What `to_record` gave; ValueError or KeyError when it is something else."""
    key, jwt_key = (load_pem_private_key(record[name].encode(), None) for name in ("key", "jwtKey"))
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(jwt_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the keys of an authority are on an elliptic curve")
    certificate = x509.load_pem_x509_certificate(record["certificate"].encode())
    return Authority(domain, certificate, key, jwt_key, datetime.fromisoformat(record["activeFrom"]))
