"""The cryptography of Liqo's key exchange: certificate requests, signatures over nonces, fitting checks.

Pure functions of bytes. Private keys pass through and are never kept.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

ORGANIZATION = "liqo.io"


class UnusableKey(ValueError):
    """A cluster's authentication key cannot serve; the text says why."""


def certificate_request(private_key_pem: bytes, common_name: str, organization: str = ORGANIZATION) -> bytes:
    """A PEM certificate request for the subject, signed by the key (always the same bytes for Ed25519)."""
    key = _private(private_key_pem)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.PEM)


def request_fits(csr_pem: bytes, public_key_pem: bytes, common_name: str, organization: str = ORGANIZATION) -> bool:
    """Whether the request is for that subject, made with that key, and signed by it."""
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        wanted = serialization.load_pem_public_key(public_key_pem)
    except ValueError:
        return False
    names = [a.value for a in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = [a.value for a in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    der = serialization.Encoding.DER
    return (
        names == [common_name]
        and organizations == [organization]
        and request.public_key().public_bytes(der, spki) == wanted.public_bytes(der, spki)
        and request.is_signature_valid
    )


def signature_fits(public_key_pem: bytes, nonce: bytes, signature: bytes) -> bool:
    """Whether the signature over the nonce was made with that key, as Liqo signs with its kind of key."""
    try:
        key = serialization.load_pem_public_key(public_key_pem)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, nonce)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, nonce, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, nonce, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except (ValueError, InvalidSignature):
        return False
    return True


def _private(pem: bytes) -> ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as problem:
        raise UnusableKey(
            "Secret liqo/authentication-keys holds no PKCS8 PEM private key under privateKey"
        ) from problem
    if isinstance(key, ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return key
    raise UnusableKey(
        f"Secret liqo/authentication-keys holds a {type(key).__name__}, which is not Ed25519, RSA or ECDSA"
    )
