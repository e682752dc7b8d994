"""The engine's own certificate authority, so that clients can send their tokens over verified TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_DAYS = 3650
_SERVER_DAYS = 825


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)


def _private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """Signs the server's certificate. With a directory the CA survives restarts; kubeconfigs stay valid."""

    def __init__(self, data_dir: Path | None = None) -> None:
        self._key, self._certificate = self._load_or_create(data_dir)

    @property
    def ca_pem(self) -> bytes:
        """The CA certificate that clients must trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def server_context(self, names: Iterable[str] = ()) -> ssl.SSLContext:
        """A TLS context with a fresh certificate for 127.0.0.1, ::1, localhost and the extra names."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key, ["127.0.0.1", "::1", "localhost", *names])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.NamedTemporaryFile() as file:  # the ssl module reads keys from files only; mode 0600
            file.write(certificate.public_bytes(serialization.Encoding.PEM) + _private_bytes(key))
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def _sign(self, key: ec.EllipticCurvePrivateKey, names: list[str]) -> x509.Certificate:
        alternatives = [_alternative(name) for name in dict.fromkeys(names)]
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = _builder(_name("continuo-apiserver"), self._certificate.subject, key, _SERVER_DAYS)
        return (
            builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(authority_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _load_or_create(self, data_dir: Path | None) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        path = data_dir / "ca.pem" if data_dir else None
        if path and path.exists():
            pem = path.read_bytes()
            key = serialization.load_pem_private_key(pem, None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError(f"{path} holds no elliptic-curve key; remove it to have a new one made")
            return key, x509.load_pem_x509_certificate(pem)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(key)
        if path:
            write_private(path, certificate.public_bytes(serialization.Encoding.PEM) + _private_bytes(key))
        return key, certificate


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("continuo-ca")
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
    return (
        _builder(name, name, key, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
