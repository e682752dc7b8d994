"""What every kind of identity does alike: contexts that follow it, and an end to connections that are no longer believed."""

from __future__ import annotations

import logging
import ssl
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, datetime

from continuo.trust.bundles import Bundles
from continuo.trust.changes import Changes
from continuo.trust.contexts import FollowingContext, Guarded, SpiffeContext, make_context
from continuo.trust.identity import NoIdentity, Peer, PeerRejected
from continuo.trust.ids import Authorize, SpiffeId
from continuo.trust.leaf import BadSvid, read_leaf
from continuo.trust.svid import Svid

log = logging.getLogger(__name__)

_NEVER = datetime.max.replace(tzinfo=UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Holder:
    """An SVID and bundles that are replaced from time to time, by whoever knows the new ones."""

    def __init__(self, why: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        """`why`: in one sentence, why there is no SVID yet."""
        self.changes = Changes()
        self._clock = clock
        self._why = why
        self._svid: Svid | None = None
        self._bundles = Bundles()
        self._made: dict[tuple[bool, Authorize], SpiffeContext] = {}
        self._links: weakref.WeakSet[Guarded] = weakref.WeakSet()
        self._lock = threading.Lock()  # paho makes its handshakes in another thread

    @property
    def spiffe_id(self) -> SpiffeId:
        """Raises NoIdentity as long as there is none."""
        return self.svid.spiffe_id

    @property
    def svid(self) -> Svid:
        """The one that handshakes show now. Raises NoIdentity as long as there is none."""
        if self._svid is None:
            raise NoIdentity(self._why)
        return self._svid

    @property
    def bundles(self) -> Bundles:
        """Whom this workload believes now."""
        return self._bundles

    def server_context(self, authorize: Authorize) -> ssl.SSLContext:
        """Admits clients whose ID `authorize` takes, and nobody else."""
        return FollowingContext.of(lambda: self._context(True, authorize), server=True)

    def client_context(self, authorize: Authorize) -> ssl.SSLContext:
        """Goes on only with servers whose ID `authorize` takes; host names do not matter."""
        return FollowingContext.of(lambda: self._context(False, authorize), server=False)

    def _context(self, server: bool, authorize: Authorize) -> SpiffeContext:
        with self._lock:
            known = self._made.get((server, authorize))
            if known is None:
                known = make_context(
                    self,
                    server=server,
                    own=self._svid,
                    roots=self._bundles.x509,
                    authorize=authorize,
                    refuses="" if self._svid is not None else self._why,
                )
                self._made[server, authorize] = known
            return known

    def judge(self, leaf: bytes, root: bytes, context: SpiffeContext) -> Peer:
        """Who the other end of a handshake has proved to be; PeerRejected, with a line in the log, when nobody."""
        try:
            found = read_leaf(leaf)
        except BadSvid as error:
            raise self._rejected(str(error)) from error
        if root not in self._bundles.x509.get(found.spiffe_id.trust_domain, ()):
            raise self._rejected(
                f"{found.spiffe_id} is not believed: the root of its chain is no authority of {found.spiffe_id.trust_domain}"
            )
        if not context.authorize(found.spiffe_id):
            raise self._rejected(f"{found.spiffe_id} is not authorized here")
        return Peer(found.spiffe_id, leaf, min(found.until, context.until or _NEVER))

    def _rejected(self, why: str) -> PeerRejected:
        log.warning("refused a connection: %s", why)
        return PeerRejected(why)

    def opened(self, link: Guarded) -> None:
        """A connection is proved: keep an eye on it, and look once more, because bundles may just have changed."""
        with self._lock:
            self._links.add(link)
        self._review(link)

    def take(self, svid: Svid | None, bundles: Bundles, why: str = "") -> None:
        """What holds from now on, completely: what is absent is withdrawn. Connections that it does not carry are ended."""
        with self._lock:
            self._svid, self._bundles = svid, bundles
            self._why = why or self._why
            self._made.clear()
            links = list(self._links)
        for link in links:
            self._review(link)
        self.changes.tell()

    def _review(self, link: Guarded) -> None:
        peer = link.peer
        if peer is not None and link.root not in self._bundles.x509.get(peer.spiffe_id.trust_domain, ()):
            link.end(f"{peer.spiffe_id} is no longer believed: the authority that vouched for it was withdrawn")

    def end_all(self, why: str) -> None:
        """End every connection, as when the identity itself goes away."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.end(why)
