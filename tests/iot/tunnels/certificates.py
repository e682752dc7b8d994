"""A certificate authority and a server's certificate, for tests on loopback."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*kinds)


class Authority:
    """Its certificate is `ca`; `server` holds key and certificate of localhost."""

    def __init__(self, folder: Path) -> None:
        own, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
        basics = x509.BasicConstraints(ca=True, path_length=None)
        issued = self._made(name, name, own).add_extension(basics, critical=True).sign(own, hashes.SHA256())
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        leaf = self._made(x509.Name([]), name, key).add_extension(names, critical=True).sign(own, hashes.SHA256())
        self.ca, self.server = folder / "ca.pem", folder / "server.pem"
        self.ca.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
        self.server.write_bytes(_pem(key) + leaf.public_bytes(serialization.Encoding.PEM))

    @staticmethod
    def _made(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), BEGIN, END)
        return made

    def context(self) -> ssl.SSLContext:
        """For the server."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.load_cert_chain(self.server)
        return made

    def trust(self) -> ssl.SSLContext:
        """For who connects to it."""
        return ssl.create_default_context(cafile=self.ca)
