"""Certificates for real clusters: one authority each, everything else signed by it.

Keys are P-256: a bed of four clusters needs some forty of them, and RSA keys would cost seconds.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = datetime.timedelta(days=365)
_RENEW = datetime.timedelta(days=30)
_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for. Servers have names or addresses, clients have a name and groups."""

    name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Authority:
    """A certificate authority, kept in a folder: who trusted it once trusts it after a restart."""

    def __init__(self, folder: Path, name: str, now: datetime.datetime) -> None:
        self.folder, self._now = folder, now
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.certificate_file, self.key_file = folder / "ca.crt", folder / "ca.key"
        if not _fresh(self.certificate_file, now):
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            certificate = _certificate(subject, subject, key.public_key(), now, 10 * _VALID)
            certificate = _for_authority(certificate, key.public_key())
            _write(self.key_file, _key_pem(key))
            _write(self.certificate_file, _pem(certificate.sign(key, hashes.SHA256())))
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        loaded = serialization.load_pem_private_key(self.key_file.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        self._key = loaded

    @property
    def certificate(self) -> str:
        """The authority's own certificate (PEM)."""
        return self.certificate_file.read_text(encoding="ascii")

    def issue(self, subject: Subject) -> Pair:
        """A new certificate; good for both ends of TLS where the subject has hosts, else for clients."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in subject.groups]
        name = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, subject.name)])
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _certificate(name, self._certificate.subject, key.public_key(), self._now, _VALID)
        if subject.hosts:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(subject.hosts)), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        return Pair(_pem(builder.sign(self._key, hashes.SHA256())), _key_pem(key))

    def files(self, stem: str, subject: Subject) -> tuple[Path, Path]:
        """Files with a certificate for that subject and its key, written anew: its hosts may have changed."""
        certificate, key = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        pair = self.issue(subject)
        _write(key, pair.key)
        _write(certificate, pair.certificate)
        return certificate, key


def signing_key(folder: Path) -> tuple[Path, Path]:
    """The key pair (private, public) of service account tokens, made once."""
    private, public = folder / "sa.key", folder / "sa.pub"
    if not public.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _write(private, _key_pem(key))
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        _write(public, key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode())
    return private, public


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    valid: datetime.timedelta,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - _SKEW).not_valid_after(now + valid)


def _for_authority(builder: x509.CertificateBuilder, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return builder.add_extension(usage, critical=True)


def _alternatives(hosts: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for host in hosts:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _fresh(file: Path, now: datetime.datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return False
    return certificate.not_valid_after_utc > now + _RENEW


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    # EC keys in the traditional form: kube-apiserver refuses PKCS8 nowhere, older tools do.
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, traditional, serialization.NoEncryption()).decode()


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    temporary.replace(path)
