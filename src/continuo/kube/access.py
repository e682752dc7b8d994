"""How one API server is entered: its address, its TLS setup, and who we are there.

Credentials may change while the process runs (rotated token files, exec plugins), so they are asked for at every
request and answer from memory unless something expired. Nothing here is ever logged: `repr` shows no secret.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from continuo.resources.errors import Unauthorized


@dataclass(frozen=True, slots=True)
class Tls:
    """One TLS setup; equal setups share their connections."""

    ca: str | None = None
    insecure: bool = False
    server_name: str | None = None
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """The ssl context; raises ValueError with a sentence when the PEM data does not fit."""
        try:
            context = ssl.create_default_context(cadata=self.ca)
        except ssl.SSLError as error:
            raise ValueError(f"the certificate authority data is not a PEM certificate ({error.reason})") from error
        # Many cluster CAs lack the key identifiers that Python 3.13 began to insist on; Go's clients never do.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.key:
            _load_pair(context, self.certificate, self.key)
        return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # OpenSSL's Python binding reads client certificates from files only; this one is private and gone at once.
    with tempfile.NamedTemporaryFile("w", prefix="continuo-", suffix=".pem") as pem:
        pem.write(f"{certificate}\n{key}\n")
        pem.flush()
        try:
            context.load_cert_chain(pem.name)
        except ssl.SSLError as error:
            raise ValueError(f"the client certificate and its key do not fit together ({error.reason})") from error


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are for the next request."""

    authorization: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()


class Credentials(Protocol):
    """Where identities come from."""

    async def current(self) -> Identity:
        """The identity to use now; the same object as long as nothing changed."""
        ...

    def invalidate(self) -> bool:
        """The server answered 401. True when another identity may come of asking again."""
        ...


class Fixed:
    """An identity that never changes: a token, a client certificate, a password, or nothing."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def current(self) -> Identity:
        return self._identity

    def invalidate(self) -> bool:
        return False


class TokenFile:
    """A bearer token that somebody else rotates on disk (service accounts do, about every hour)."""

    REREAD_SECONDS = 60.0

    def __init__(self, path: Path, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._identity, self._read_at = identity, -self.REREAD_SECONDS

    async def current(self) -> Identity:
        if self._clock() - self._read_at >= self.REREAD_SECONDS:
            self._read()
        return self._identity

    def invalidate(self) -> bool:
        before = self._identity
        self._read()
        return self._identity is not before

    def _read(self) -> None:
        try:
            authorization = bearer(self._path.read_text(encoding="utf-8").strip())
        except OSError as error:
            raise Unauthorized(f"cannot read the token file {self._path}: {error.strerror}") from error
        self._read_at = self._clock()
        if authorization != self._identity.authorization:
            old = self._identity
            self._identity = Identity(authorization, old.certificate, old.key, old.headers)


@dataclass(frozen=True, slots=True)
class Access:
    """Everything needed to reach one API server."""

    server: str
    tls: Tls = Tls()
    credentials: Credentials = field(default_factory=lambda: Fixed(Identity()))
    proxy: str | None = None
    namespace: str = "default"
    context: str = ""


def bearer(token: str) -> str:
    """The Authorization header of a token."""
    return f"Bearer {token}"


def basic(username: str, password: str) -> str:
    """The Authorization header of a user name and password."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
