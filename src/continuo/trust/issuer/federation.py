"""Foreign bundles are fetched here, as often as their publishers say, and kept when something goes wrong."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import aiohttp

from continuo.trust.backoff import Backoff
from continuo.trust.bundle_docs import BIGGEST, BadBundle, Bundle, parse_bundle
from continuo.trust.bundles import Bundles
from continuo.trust.contexts import FollowingContext, make_context
from continuo.trust.holder import Holder
from continuo.trust.ids import Authorized, TrustDomain, parse_domain, parse_id
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.relations import Profile, Relation, replaces

log = logging.getLogger(__name__)

_DEADLINE = 15.0
_LONGEST_WAIT = 86_400.0


class Bundled(Protocol):
    """Where foreign bundles outlive the process."""

    def bundle(self, domain: TrustDomain) -> Bundle | None: ...

    def save_bundle(self, domain: TrustDomain, document: bytes) -> None: ...

    def drop_bundle(self, domain: TrustDomain) -> None: ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """How it went the last time."""

    at: datetime | None = None
    """When a bundle was last got."""
    trouble: str = ""


class Federation:
    """Keeps an issuer's foreign bundles. `shortest`: seconds that lie between two fetches at least, whatever a hint says."""

    def __init__(
        self,
        issuer: Issuer,
        store: Bundled,
        *,
        shortest: float = 5.0,
        web: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        rng: random.Random | None = None,
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._shortest = shortest
        self._web = web
        self._rng = rng or random.Random()
        self._tasks: dict[Relation, asyncio.Task[None]] = {}
        self.status: dict[str, Fetched] = {}
        """By trust domain."""

    def follow(self, relations: list[Relation]) -> None:
        """These from now on, and no others: whoever is not among them is no longer believed."""
        for relation in set(self._tasks) - set(relations):
            self._tasks.pop(relation).cancel()
        wanted = {parse_domain(relation.trust_domain) for relation in relations}
        for domain in set(self._issuer.federated()) - wanted:
            self._issuer.defederate(domain)
            self._store.drop_bundle(domain)
            self.status.pop(domain.name, None)
        for relation in relations:
            domain = parse_domain(relation.trust_domain)
            if (known := self._store.bundle(domain)) is not None:
                self._issuer.federate(domain, known)
            if relation not in self._tasks:
                self._tasks[relation] = asyncio.create_task(self._keep(relation), name=f"bundle of {domain}")

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, relation: Relation) -> None:
        backoff = Backoff(base=1.0, cap=300.0, rng=self._rng)
        domain = parse_domain(relation.trust_domain)
        while True:
            trouble = await self.refresh(relation)
            known = self._issuer.federated().get(domain)
            hint = float(known.hint) if known is not None else 60.0
            if trouble:
                hint = min(hint, backoff.next())
            else:
                backoff.reset()
            await asyncio.sleep(min(max(hint, self._shortest), _LONGEST_WAIT))

    async def refresh(self, relation: Relation) -> str:
        """Fetch once. What is wrong with it, in one sentence; empty when all is well. The bundle known is kept then."""
        domain = parse_domain(relation.trust_domain)
        before = self.status.get(domain.name, Fetched())
        try:
            document = await self._fetch(relation)
            bundle = parse_bundle(document)
            if replaces(bundle, self._store.bundle(domain)):
                self._store.save_bundle(domain, document)
                self._issuer.federate(domain, bundle)
                log.info("the bundle of %s has changed: sequence %d", domain, bundle.sequence)
            self.status[domain.name] = Fetched(self._issuer.clock())
            return ""
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = str(error) or f"no answer within {_DEADLINE:.0f} s"
            trouble = f"the bundle of {domain} was not renewed from {relation.url}: {why}"
            if trouble != before.trouble:
                log.warning("%s", trouble)
            self.status[domain.name] = Fetched(before.at, trouble)
            return trouble

    async def _fetch(self, relation: Relation) -> bytes:
        context = self._web() if relation.profile is Profile.WEB else self._spiffe_context(relation)
        timeout = aiohttp.ClientTimeout(total=_DEADLINE)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, force_close=True), timeout=timeout, auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
            ) as session,
            session.get(relation.url, allow_redirects=False) as answer,
        ):  # fmt: skip
            if answer.status != 200:
                raise BadBundle(f"it answered {answer.status}, and only 200 is a bundle (redirects are not followed)")
            data = b""
            async for chunk in answer.content.iter_chunked(65_536):
                data += chunk
                if len(data) > BIGGEST:
                    raise BadBundle(f"it is bigger than {BIGGEST} bytes")
            return data

    def _spiffe_context(self, relation: Relation) -> ssl.SSLContext:
        """Believes the authorities of the endpoint's own trust domain, and takes that one ID. It shows no certificate."""
        endpoint = parse_id(relation.endpoint_id or "")
        domain = endpoint.trust_domain
        known = self._issuer.bundle() if domain == self._issuer.domain else self._store.bundle(domain)
        if known is None:
            raise BadBundle(f"no bundle of {domain} is known yet; give the first one with --bundle")
        return judging({domain: known.x509}, Authorized(frozenset((endpoint,))))


def judging(roots: Mapping[TrustDomain, frozenset[bytes]], authorize: Authorized) -> ssl.SSLContext:
    """A client's context that shows nothing, and believes those."""
    judge = Holder("a client without an SVID")
    judge.take(None, Bundles(x509=roots))
    return FollowingContext.of(
        lambda: make_context(judge, server=False, own=None, roots=roots, authorize=authorize), server=False
    )
