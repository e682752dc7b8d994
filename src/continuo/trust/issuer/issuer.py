"""The issuer of one trust domain: its keys as they come and go, the foreign bundles it knows, and identities in-process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from continuo.trust.bundle_docs import Bundle, write_bundle
from continuo.trust.bundles import Bundles
from continuo.trust.changes import Changes
from continuo.trust.holder import utc_now
from continuo.trust.ids import BadId, SpiffeId, TrustDomain, parse_domain, parse_id
from continuo.trust.issuer.authority import Authority, new_authority
from continuo.trust.issuer.generations import Policy, due, signing
from continuo.trust.issuer.local import LocalIdentity
from continuo.trust.svid import Svid

log = logging.getLogger(__name__)

_LONGEST_SLEEP = 3600.0


class Keeping(Protocol):
    """Where the keys outlive the process."""

    def load_keys(self, domain: TrustDomain) -> tuple[Sequence[Authority], int]:
        """The generations, and the bundle's sequence number."""
        ...

    def save_keys(self, authorities: Sequence[Authority], sequence: int) -> None:
        """Durably, before anything is signed with them."""
        ...


class Issuer:
    """Vouches for the workloads and devices of one trust domain, for as long as the process or its `keeping` lasts."""

    def __init__(
        self,
        domain: str | TrustDomain,
        *,
        policy: Policy | None = None,
        keeping: Keeping | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.domain = domain if isinstance(domain, TrustDomain) else parse_domain(domain)
        self.policy = policy or Policy()
        self.changes = Changes()
        self.clock = clock
        self._keeping = keeping
        self._authorities: tuple[Authority, ...] = ()
        self._federated: dict[TrustDomain, Bundle] = {}
        self._dropped = datetime.fromtimestamp(0, tz=clock().tzinfo)
        self.sequence = 0
        if keeping is not None:
            loaded, self.sequence = keeping.load_keys(self.domain)
            self._authorities = tuple(loaded)
        self.refresh()

    # keys

    def refresh(self) -> datetime:
        """Make, use and drop generations as it is time; when to come again."""
        while True:
            now = self.clock()
            found = due(self._authorities, now, self.policy)
            kept = found.kept
            if found.make is not None:
                kept += (new_authority(self.domain, now, self.policy.authority, found.make),)
            if kept != self._authorities:
                self._set(kept)
            if found.make is None:
                return found.again

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        while True:
            left = (self.refresh() - self.clock()).total_seconds()
            await asyncio.sleep(min(max(left, 0.05), _LONGEST_SLEEP))

    def prepare(self) -> None:
        """Announce a new generation now; `activate` uses it."""
        made = new_authority(self.domain, self.clock(), self.policy.authority, self.clock() + self.policy.announce)
        self._set((*self._authorities, made))

    def activate(self) -> None:
        """Sign with the newest generation from now on, announced for long enough or not."""
        *others, newest = self._authorities
        self._set((*others, Authority(newest.domain, newest.certificate, newest.key, newest.jwt_key, self.clock())))

    def drop_older(self) -> None:
        """As after a theft: nobody is to believe any generation but the one that signs now, and all SVIDs are made anew."""
        self._dropped = self.clock()
        self._set((signing(self._authorities, self._dropped),))

    def reissue(self) -> None:
        """All SVIDs are made anew, and those that were there live out their time."""
        self._dropped = self.clock()
        self.changes.tell()

    def _set(self, authorities: tuple[Authority, ...]) -> None:
        if {one.der for one in authorities} != {one.der for one in self._authorities}:
            self.sequence += 1
        if self._keeping is not None:
            self._keeping.save_keys(authorities, self.sequence)
        self._authorities = authorities
        self.changes.tell()

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """All that are announced, in use, or believed for what they signed."""
        return self._authorities

    # bundles

    def bundle(self) -> Bundle:
        """Its own."""
        keys = {one.kid: one.jwt_key.public_key() for one in self._authorities}
        hint = int(self.policy.hint.total_seconds())
        return Bundle(frozenset(one.der for one in self._authorities), MappingProxyType(keys), self.sequence, hint)

    def document(self) -> bytes:
        """Its own bundle as others fetch it."""
        jwks = {one.kid: one.jwk for one in self._authorities}
        hint = int(self.policy.hint.total_seconds())
        return write_bundle((one.der for one in self._authorities), jwks, self.sequence, hint)

    def federate(self, domain: str | TrustDomain, bundle: Bundle) -> None:
        """Let workloads authenticate peers of that trust domain. What these may do, `authorize` says."""
        name = domain if isinstance(domain, TrustDomain) else parse_domain(domain)
        if name == self.domain:
            raise BadId(f"{name} is this issuer's own trust domain; it federates with others")
        if self._federated.get(name) != bundle:
            self._federated[name] = bundle
            self.changes.tell()

    def defederate(self, domain: str | TrustDomain) -> None:
        """Nobody of that trust domain is believed any more, and open connections with them end."""
        name = domain if isinstance(domain, TrustDomain) else parse_domain(domain)
        if self._federated.pop(name, None) is not None:
            self.changes.tell()

    def federated(self, names: Iterable[str] | None = None) -> dict[TrustDomain, Bundle]:
        """The foreign bundles, all or those named."""
        if names is None:
            return dict(self._federated)
        wanted = set(map(parse_domain, names))
        return {domain: bundle for domain, bundle in self._federated.items() if domain in wanted}

    def bundles(self, names: Iterable[str] | None = None) -> Bundles:
        """Whom a workload is to believe: the own trust domain, and the foreign ones named (None: all)."""
        known = {self.domain: self.bundle(), **self.federated(names)}
        return Bundles(
            MappingProxyType({domain: bundle.x509 for domain, bundle in known.items()}),
            MappingProxyType({domain: bundle.jwt for domain, bundle in known.items()}),
        )

    # what it signs

    def svid(self, spiffe_id: SpiffeId, life: timedelta | None = None, dns_names: tuple[str, ...] = ()) -> Svid:
        """A new X509-SVID. BadId when it is not this trust domain's."""
        self._mine(spiffe_id)
        now = self.clock()
        return signing(self._authorities, now).svid(spiffe_id, now, life or self.policy.svid, dns_names)

    def renewed(
        self, old: Svid | None, spiffe_id: SpiffeId, life: timedelta | None = None, dns_names: tuple[str, ...] = ()
    ) -> Svid:
        """The old one while it is in the first half of its life and its authority is believed; else a new one."""
        if old is not None and old.since > self._dropped and self.clock() < old.half_life:
            return old
        return self.svid(spiffe_id, life, dns_names)

    def token(self, subject: SpiffeId, audience: list[str]) -> str:
        """A JWT-SVID. A secret."""
        self._mine(subject)
        now = self.clock()
        return signing(self._authorities, now).token(subject, audience, now, self.policy.token)

    def _mine(self, spiffe_id: SpiffeId) -> None:
        if spiffe_id.trust_domain != self.domain:
            raise BadId(
                f"{spiffe_id} is of trust domain {spiffe_id.trust_domain}; this issuer vouches for {self.domain} alone"
            )

    def identity(self, spiffe_id: str, *, life: timedelta | None = None) -> LocalIdentity:
        """An identity without a socket, for demos and tests: `async with issuer.identity("spiffe://...") as identity`."""
        return LocalIdentity(self, parse_id(spiffe_id), life)
