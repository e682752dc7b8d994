"""A workload's own X509-SVID: certificate chain and private key, which never touches a disk and is never shown."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from continuo.trust import der
from continuo.trust.ids import SpiffeId
from continuo.trust.leaf import BadSvid, read_leaf


@dataclass(frozen=True, slots=True)
class Svid:
    """One for one moment; the next one replaces it."""

    spiffe_id: SpiffeId
    since: datetime
    until: datetime
    chain: tuple[bytes, ...]
    """In DER, the leaf first."""
    key: bytes = field(repr=False)
    """PKCS#8, in PEM."""

    @classmethod
    def parse(cls, chain: bytes, key: bytes) -> Svid:
        """From what the Workload API sends: certificates and PKCS#8 key in DER; BadSvid when they are no SVID."""
        try:
            certificates = der.split(chain)
            private = serialization.load_der_private_key(key, None)
        except (ValueError, TypeError) as error:
            raise BadSvid("the SVID's chain or key cannot be read") from error
        if not certificates:
            raise BadSvid("the SVID has no certificate")
        leaf = read_leaf(certificates[0])
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls(leaf.spiffe_id, leaf.since, leaf.until, certificates, pem)

    @property
    def half_life(self) -> datetime:
        """When the next one should be there."""
        return self.since + (self.until - self.since) / 2

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let that context show this SVID."""
        pem = "".join(map(ssl.DER_cert_to_PEM_cert, self.chain)).encode() + self.key
        with _in_memory(pem) as path:
            context.load_cert_chain(path)


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """A path that only this process can read, for what takes nothing but paths."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("svid", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile(prefix="svid-") as file:  # not Linux: a file with mode 0600, gone at once
        file.write(data)
        file.flush()
        yield file.name
