"""The real cryptography of the handshake: keys, signatures, certificate requests, certificates."""

from __future__ import annotations

import datetime
from random import Random

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID


def authentication_keys(rng: Random) -> tuple[bytes, bytes]:
    """A new Ed25519 pair: PKCS8 PEM and PKIX PEM."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def tunnel_keys(rng: Random) -> tuple[bytes, bytes]:
    """A new X25519 pair as WireGuard wants it: 32 raw bytes each."""
    key = x25519.X25519PrivateKey.from_private_bytes(rng.randbytes(32))
    private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(private_pem: bytes, data: bytes) -> bytes:
    """The signature of a nonce with the cluster's key."""
    return _ed25519(private_pem).sign(data)


def verified(public_pem: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the signature is one of the key's owner."""
    try:
        key = load_pem_public_key(public_pem)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except (ValueError, InvalidSignature):
        return False
    return True


def request(private_pem: bytes, common_name: str, organization: str) -> bytes:
    """A certificate request (PEM)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(common_name, organization))
    return builder.sign(_ed25519(private_pem), None).public_bytes(Encoding.PEM)


def refusal(csr_pem: bytes, public_pem: bytes, common_name: str, organization: str) -> str | None:
    """Why a certificate request cannot be accepted; None when it can."""
    try:
        csr = x509.load_pem_x509_csr(csr_pem)
        wanted = load_pem_public_key(public_pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError as problem:
        return f"the request or the public key cannot be read: {problem}"
    if _names(csr.subject, NameOID.COMMON_NAME) != [common_name]:
        return f"its common name is not {common_name}"
    if _names(csr.subject, NameOID.ORGANIZATION_NAME) != [organization]:
        return f"its organization is not {organization}"
    if csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != wanted:
        return "it was made with another key"
    return None if csr.is_signature_valid else "its signature is wrong"


def certificate(private_pem: bytes, issuer: str, csr_pem: bytes, now: float, serial: int) -> bytes:
    """A client certificate (PEM) for the request, valid for a year."""
    csr = x509.load_pem_x509_csr(csr_pem)
    start = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(csr.subject)
        .issuer_name(_subject(issuer, "liqo.io"))
        .public_key(csr.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365))
    )
    return builder.sign(_ed25519(private_pem), None).public_bytes(Encoding.PEM)


def certifies(certificate_pem: bytes, csr_pem: bytes) -> bool:
    """Whether the certificate answers the request."""
    try:
        held, asked = x509.load_pem_x509_certificate(certificate_pem), x509.load_pem_x509_csr(csr_pem)
    except ValueError:
        return False
    raw = PublicFormat.SubjectPublicKeyInfo
    same_key = held.public_key().public_bytes(Encoding.DER, raw) == asked.public_key().public_bytes(Encoding.DER, raw)
    return same_key and held.subject == asked.subject


def _subject(common_name: str, organization: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _names(subject: x509.Name, oid: x509.ObjectIdentifier) -> list[str | bytes]:
    return [entry.value for entry in subject.get_attributes_for_oid(oid)]


def _ed25519(pem: bytes) -> ed25519.Ed25519PrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ValueError(f"the cluster's key is a {type(key).__name__}, not Ed25519")
    return key
