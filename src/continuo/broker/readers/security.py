"""Who may talk to a reader, and over what: plain only on this machine, else TLS, with certificates or a token on top."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

from continuo.resources.errors import BadRequest

AUTHORIZATION = "authorization"


@dataclass(frozen=True, slots=True)
class Address:
    """`host:port`, or `unix:PATH`."""

    text: str
    local: bool
    """Whether what is sent to it cannot leave this machine."""


def address(text: str) -> Address:
    """Read an address; BadRequest says what is wrong with it."""
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Address(text, True)
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise BadRequest(f"address {text!r} must be host:port, such as 127.0.0.1:7400, or unix:/path/of/a/socket")
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare and not host.startswith("["):
        raise BadRequest(f"address {text!r}: an IPv6 host stands in brackets, such as [::1]:7400")
    try:
        return Address(text, ipaddress.ip_address(bare).is_loopback)
    except ValueError:
        return Address(text, bare == "localhost")


@dataclass(frozen=True, slots=True)
class ServerSecurity:
    """How a server is reached. Without a certificate it listens on this machine only."""

    certificate: bytes | None = None
    key: bytes | None = None
    clients: bytes | None = None
    """The authority of clients' certificates; then everyone needs one."""
    token: str | None = None
    """What everyone has to say."""

    def credentials(self, at: Address) -> grpc.ServerCredentials | None:
        """None for plain. BadRequest for what would be open to the network, or is half of something."""
        if (self.certificate is None) != (self.key is None):
            raise BadRequest("a server certificate needs its key, and a key its certificate: give both, or neither")
        if self.certificate is None or self.key is None:
            if self.clients is not None:
                raise BadRequest(
                    "clients' certificates are checked over TLS only: give the server a certificate and key"
                )
            if not at.local:
                raise BadRequest(f"{at.text} can be reached from other machines: give a certificate and a key for TLS")
            return None
        if self.clients is None and self.token is None and not at.local:
            raise BadRequest(f"{at.text} would answer anybody: ask for clients' certificates, or for a token")
        pairs = [(self.key, self.certificate)]
        return grpc.ssl_server_credentials(pairs, self.clients, require_client_auth=self.clients is not None)

    def admits(self, metadata: object) -> bool:
        """Whether the caller said the token, if there is one."""
        if self.token is None:
            return True
        said = [value for key, value in metadata or () if key == AUTHORIZATION]  # type: ignore[attr-defined]
        wanted = f"Bearer {self.token}".encode()
        return len(said) == 1 and hmac.compare_digest(str(said[0]).encode(), wanted)


@dataclass(frozen=True, slots=True)
class ClientSecurity:
    """How a client goes there. `authority` is the CA of the server; empty bytes mean those that this machine trusts."""

    authority: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str | None = None

    def credentials(self, to: Address) -> grpc.ChannelCredentials | None:
        """None for plain. BadRequest for what anybody on the way could read or change."""
        if self.authority is None:
            if self.certificate is not None or self.key is not None:
                raise BadRequest("a client certificate needs TLS: name the authority of the server's certificate")
            if not to.local:
                raise BadRequest(f"{to.text} is another machine: plain text goes to this one only, so use TLS")
            return None
        if (self.certificate is None) != (self.key is None):
            raise BadRequest("a client certificate needs its key, and a key its certificate: give both, or neither")
        return grpc.ssl_channel_credentials(self.authority or None, self.key, self.certificate)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return () if self.token is None else ((AUTHORIZATION, f"Bearer {self.token}"),)


def pem(path: Path | None) -> bytes | None:
    """A file's bytes; BadRequest when it cannot be read."""
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadRequest(f"file {path} cannot be read: {error.strerror}") from None


def token_in(path: Path | None) -> str | None:
    """The token in a file: long enough not to be guessed, and fit for a header."""
    raw = pem(path)
    if raw is None:
        return None
    text = raw.decode("ascii", "replace").strip()
    if len(text) < 16 or not all(33 <= ord(letter) <= 126 for letter in text):
        raise BadRequest(f"file {path} must hold a token of at least 16 printable ASCII characters without blanks")
    return text
