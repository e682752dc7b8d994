"""TLS that binds the root of the chain to the trust domain that the certificate names.

OpenSSL verifies against one heap of authorities, so any federated domain could issue certificates in another's name. What
it found is therefore looked at again before the handshake counts as done: the last certificate of the *verified* chain has
to be an authority of the very domain that the leaf names. Sessions are not resumed, because that would skip the look.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from continuo.trust.identity import Peer, PeerRejected
from continuo.trust.ids import TrustDomain
from continuo.trust.svid import Svid

log = logging.getLogger(__name__)

_DER: int = ssl._ssl.ENCODING_DER  # type: ignore[attr-defined]
"""For CPython before 3.13, which has the verified chain, but no public method that tells it."""


class Owner(Protocol):
    """Whose connections they are. It judges by what is true when a handshake ends, not when it began."""

    def judge(self, leaf: bytes, root: bytes, context: SpiffeContext) -> Peer:
        """The proved peer; PeerRejected when it has not proved anything that may go on."""
        ...

    def opened(self, link: Guarded) -> None:
        """A connection is proved; the owner ends it when that is no longer true."""
        ...


class Guarded:
    """What is common to sockets and objects: the look after the handshake, and an end that no byte gets past."""

    peer: Peer | None = None
    root: bytes = b""
    ended: str = ""
    _on_end: Callable[[], None] | None = None

    def do_handshake(self, *arguments: Any, **options: Any) -> None:
        """As ever; then PeerRejected, unless the peer has proved an ID that may go on."""
        context: SpiffeContext = self.context  # type: ignore[attr-defined]
        if context.refuses:
            raise PeerRejected(context.refuses)
        super().do_handshake(*arguments, **options)  # type: ignore[misc]
        if self.peer is None and context.verify_mode is not ssl.CERT_NONE:
            chain = _verified_chain(self)
            self.peer = context.owner.judge(chain[0], chain[-1], context)
            self.root = chain[-1]
            context.owner.opened(self)

    def read(self, *arguments: Any) -> Any:
        self._check()
        return super().read(*arguments)  # type: ignore[misc]

    def write(self, *arguments: Any) -> Any:
        self._check()
        return super().write(*arguments)  # type: ignore[misc]

    def end(self, why: str) -> None:
        """From now on nothing is read or written here; whoever holds the transport is told to close it."""
        if not self.ended:
            self.ended = why
            if self._on_end is not None:
                self._on_end()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call it when this connection is ended; at once if that has happened."""
        self._on_end = callback
        if self.ended:
            callback()

    def _check(self) -> None:
        if self.ended:
            raise PeerRejected(self.ended)


class GuardedObject(Guarded, ssl.SSLObject):
    """For asyncio and uvloop."""


class GuardedSocket(Guarded, ssl.SSLSocket):
    """For paho and whatever else works with sockets."""

    def send(self, *arguments: Any) -> Any:
        self._check()
        return super().send(*arguments)


def _verified_chain(link: Any) -> list[bytes]:
    """In DER, from the leaf to the authority that the verification ended at."""
    if hasattr(link, "get_verified_chain"):
        chain: list[bytes] = list(link.get_verified_chain())
    else:
        chain = [certificate.public_bytes(_DER) for certificate in link._sslobj.get_verified_chain() or ()]
    if not chain:
        raise PeerRejected("the other end has shown no certificate")
    return [part if isinstance(part, bytes) else ssl.PEM_cert_to_DER_cert(part) for part in chain]


class SpiffeContext(ssl.SSLContext):
    """For one SVID and one set of bundles. It is never changed: what changes makes a new one."""

    owner: Owner
    authorize: Callable[[Any], bool]
    until: datetime | None = None
    """When the SVID that it shows ends."""
    refuses: str = ""
    """Why no handshake is made with it."""


def make_context(
    owner: Owner,
    *,
    server: bool,
    own: Svid | None,
    roots: Mapping[TrustDomain, frozenset[bytes]],
    authorize: Callable[[Any], bool],
    verify: bool = True,
    refuses: str = "",
) -> SpiffeContext:
    """A context that shows `own` (None: nothing) and lets in whom `roots` and `authorize` let in; `refuses`: nobody."""
    context = SpiffeContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a bundle may hold an authority that has one above it
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if server:
        context.num_tickets = 0
    context.sslobject_class, context.sslsocket_class = GuardedObject, GuardedSocket
    context.owner, context.authorize = owner, authorize
    context.until = own.until if own is not None else None
    context.refuses = refuses
    if own is not None:
        own.load_into(context)
    first = own.spiffe_id.trust_domain if own is not None else None
    if authorities := distinct(roots, first):
        context.load_verify_locations(cadata=b"".join(authorities))
    return context


def distinct(roots: Mapping[TrustDomain, frozenset[bytes]], first: TrustDomain | None) -> list[bytes]:
    """The authorities of all domains, without those that would stand in the way of another domain's.

    OpenSSL looks for an issuer by name and key identifier. A federated domain that gives its authority those of ours could
    not issue in our name, but nobody of ours could be verified any more. The own domain comes first, then by name.
    """
    keys: dict[tuple[bytes, bytes], bytes] = {}
    kept: dict[bytes, None] = {}
    for domain in sorted(roots, key=lambda one: (one != first, one.name)):
        for der in sorted(roots[domain]):
            looks, key = _looks(der)
            if keys.setdefault(looks, key) == key:
                kept[der] = None
            else:
                log.warning(
                    "an authority of %s is left out: it poses as another one, by name and key identifier", domain
                )
    return list(kept)


def _looks(der: bytes) -> tuple[tuple[bytes, bytes], bytes]:
    """What OpenSSL finds an authority by, and its key."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        found = b""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return (certificate.subject.public_bytes(), found), key


class FollowingContext(ssl.SSLContext):
    """What services hold for as long as they run: every connection is made by the context of that moment."""

    _now: Callable[[], ssl.SSLContext]

    @classmethod
    def of(cls, now: Callable[[], ssl.SSLContext], *, server: bool) -> FollowingContext:
        """One that asks `now` for each handshake."""
        made = cls(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_REQUIRED
        made._now = now
        return made

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return self._now().wrap_bio(*arguments, **options)

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        return self._now().wrap_socket(*arguments, **options)
