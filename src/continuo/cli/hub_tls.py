"""The hub's certificate: given by the operator, or signed by an authority of its own that lives in its data folder.

Whoever trusted that authority once goes on doing so: its key stays when the server's certificate is made anew.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import logging
import os
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from continuo.cli.catalog_client import write_secret
from continuo.cli.failures import BadInput, Failed

log = logging.getLogger(__name__)

_DAY = datetime.timedelta(days=1)
_SKEW = datetime.timedelta(hours=1)
_AUTHORITY, _SERVER, _RENEW = 3650 * _DAY, 365 * _DAY, 30 * _DAY
_LOOK = 60.0

Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Certificates:
    """What the hub shows to whoever connects; files that change are shown to those who connect later."""

    def __init__(self, chain: Path, key: Path, ca: Path | None, renew: Callable[[], None]) -> None:
        self._chain, self._key, self._renew = chain, key, renew
        self.ca = ca
        """The authority that boards must know; None where the operator brought a certificate."""
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load()

    def _load(self) -> None:
        try:
            self.context.load_cert_chain(self._chain, self._key)
        except (ssl.SSLError, OSError) as error:
            raise BadInput(f"{self._chain} and {self._key} are no certificate and its key: {error}") from error
        self._seen = self._stamps()

    def _stamps(self) -> tuple[int, ...]:
        return tuple(path.stat().st_mtime_ns for path in (self._chain, self._key))

    async def watch(self) -> None:
        """Renew in time, and take files that were replaced."""
        while True:
            await asyncio.sleep(_LOOK)
            try:
                self._renew()
                if self._stamps() != self._seen:
                    self._load()
                    log.info("the certificate in %s is in use from now on", self._chain)
            except (OSError, BadInput) as error:
                log.error("the certificate could not be renewed: %s", error)


def given(chain: Path, key: Path) -> Certificates:
    """The operator's own."""
    return Certificates(chain, key, None, lambda: None)


def own(folder: Path, hosts: Sequence[str], clock: Clock = utc_now) -> Certificates:
    """Of an authority in that folder, made where there is none; raises Failed where it cannot be written."""
    server = folder / "server.pem"

    def renew() -> None:
        if not _good(server, hosts, clock()):
            write_secret(server, _issue(folder, hosts, clock()))

    try:
        renew()
    except OSError as error:
        raise Failed(f"cannot keep the hub's keys in {folder}: {error.strerror or error}") from error
    return Certificates(server, server, folder / "ca.crt", renew)


def _issue(folder: Path, hosts: Sequence[str], now: datetime.datetime) -> str:
    """A new certificate and its key in one text, so that one never stands beside another's other half."""
    ca_key, ca = _authority(folder, now)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [_alternative(host) for host in hosts]
    certificate = (
        _builder(f"Continuo hub {hosts[0]}"[:64], ca.subject, key, now, _SERVER)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return (_private(key) + certificate.public_bytes(Encoding.PEM)).decode()


def _authority(folder: Path, now: datetime.datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The key is kept first: should the certificate be missing, it is made again for the same key."""
    key_file, file = folder / "ca.key", folder / "ca.crt"
    if not key_file.exists():
        write_secret(key_file, _private(ec.generate_private_key(ec.SECP256R1())).decode())
    key = load_pem_private_key(key_file.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Failed(f"{key_file} is no key of this hub's authority; put the right one back, or remove {folder}")
    if not file.exists():
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Continuo hub {os.urandom(4).hex()}")])
        made = (
            _builder(None, name, key, now, _AUTHORITY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_secret(file, made.public_bytes(Encoding.PEM).decode())
        file.chmod(0o644)
    return key, x509.load_pem_x509_certificate(file.read_bytes())


_SIGNS = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip


def _builder(
    name: str | None,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
    life: datetime.timedelta,
) -> x509.CertificateBuilder:
    subject = issuer if name is None else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _good(file: Path, hosts: Sequence[str], now: datetime.datetime) -> bool:
    """Whether it is for these hosts, and for a while to come."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return set(names) >= {_alternative(host) for host in hosts} and certificate.not_valid_after_utc > now + _RENEW
