"""What two federated trust domains must and must not let happen, whoever issues: the embedded issuer, or real SPIRE.

This process is a workload of both: `a` is where the service is, `b` is where the client comes from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import aiohttp
import pytest

from continuo.trust.bundles import Bundles
from continuo.trust.holder import Holder
from continuo.trust.identity import Identity, NoIdentity
from continuo.trust.ids import Authorized, TrustDomain
from continuo.trust.svid import Svid
from continuo.trust.workload_api import WorkloadApi
from trust.site import ask, asking, served

PATIENCE = 60.0


class Place(Protocol):
    """A trust domain with a Workload API on this machine."""

    domain: TrustDomain
    address: str

    @property
    def id(self) -> str:
        """What this process is there."""
        ...

    async def grant(self) -> None:
        """Register this process."""
        ...

    async def withdraw(self) -> None:
        """Register it no longer."""
        ...

    async def federate(self, other: Place) -> None:
        """Let its workloads believe the other one."""
        ...

    async def end_federation(self, other: Place) -> None: ...

    async def restart(self) -> None:
        """The process behind the Workload API goes, and comes again."""
        ...

    async def rotate(self) -> None:
        """Sooner or later there is a new SVID; this may hasten it."""
        ...

    def forge(self, spiffe_id: str) -> Svid:
        """What this domain's authority could make if it were in bad hands."""
        ...


async def until(identity: Identity, holds: Callable[[], bool]) -> None:
    """Until that is so, looking whenever the identity changes."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await identity.changes.wait()


def believes(identity: Identity, place: Place) -> Callable[[], bool]:
    return lambda: bool(identity.bundles.x509.get(place.domain))


def only(place: Place) -> Authorized:
    return Authorized.of(ids=[place.id])


async def allow_and_deny(a: Place, b: Place) -> None:
    """Who is named is let in and known; everybody else is not, however well proved."""
    async with WorkloadApi(a.address) as one, WorkloadApi(b.address) as two:
        await until(one, believes(one, b))
        await until(two, believes(two, a))
        async with served(one, only(b)) as service, asking(two, only(a)) as client:
            assert await ask(client, service) == b.id
        async with served(one, Authorized.of(ids=[f"{b.id}-other"])) as service, asking(two, only(a)) as client:
            with pytest.raises(aiohttp.ClientError):
                await ask(client, service)
            assert service.answered == 0
        async with served(one, only(b)) as service, asking(two, Authorized.of(domains=["c.example"])) as client:
            with pytest.raises(aiohttp.ClientConnectorError, match="not authorized"):
                await ask(client, service)
            assert service.answered == 0


async def forge(a: Place, b: Place) -> None:
    """The authority of b issues an ID of a: nobody falls for it, neither as a client nor as a server."""
    async with WorkloadApi(a.address) as one, WorkloadApi(b.address) as two:
        await until(one, believes(one, b))
        await until(two, believes(two, a))
        forged = Holder("forged")
        forged.take(b.forge(a.id), Bundles({**two.bundles.x509, **one.bundles.x509}))
        everybody = Authorized.of(domains=[a.domain.name, b.domain.name])
        async with served(one, everybody) as service, asking(forged, everybody) as client:  # type: ignore[arg-type]
            with pytest.raises(aiohttp.ClientError):
                await ask(client, service)
            assert service.answered == 0
        for honest in (one, two):
            async with served(forged, everybody) as service, asking(honest, everybody) as client:  # type: ignore[arg-type]
                with pytest.raises(aiohttp.ClientConnectorError, match="no authority of"):
                    await ask(client, service)
                assert service.answered == 0
        # the same authority is good for its own
        honest = Holder("honest")
        honest.take(b.forge(b.id), two.bundles)
        async with served(one, everybody) as service, asking(honest, everybody) as client:  # type: ignore[arg-type]
            assert await ask(client, service) == b.id


async def rotate_under_load(a: Place, b: Place, *, rounds: int) -> int:
    """SVIDs change at both ends while four clients ask without pause: no request fails. How many there were."""
    async with WorkloadApi(a.address) as one, WorkloadApi(b.address) as two:
        await until(one, believes(one, b))
        await until(two, believes(two, a))
        done = asyncio.Event()
        async with served(one, only(b)) as service, asking(two, only(a)) as client:

            async def load() -> int:
                count = 0
                while not done.is_set():
                    assert await ask(client, service) == b.id
                    count += 1
                return count

            loads = [asyncio.create_task(load()) for _ in range(4)]
            for _ in range(rounds):
                before = (one.svid.chain, two.svid.chain)
                await a.rotate()
                await b.rotate()
                await until(one, lambda before=before: one.svid.chain != before[0])  # type: ignore[misc]
                await until(two, lambda before=before: two.svid.chain != before[1])  # type: ignore[misc]
                more = asyncio.create_task(service.more(20))
                await asyncio.wait([more, *loads], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
                more.cancel()
            done.set()
            return sum(await asyncio.gather(*loads))


async def end_of_federation(a: Place, b: Place) -> None:
    """When a believes b no longer, open connections are cut and no new one is made; and the other way round again."""
    async with WorkloadApi(a.address) as one, WorkloadApi(b.address) as two:
        await until(one, believes(one, b))
        await until(two, believes(two, a))
        async with served(one, only(b)) as service, asking(two, only(a)) as client:
            assert await ask(client, service) == b.id
            slow = asyncio.create_task(ask(client, service, "/slow"))
            async with asyncio.timeout(PATIENCE):
                await service.begun.wait()
            await a.end_federation(b)
            await until(one, lambda: not believes(one, b)())
            with pytest.raises(aiohttp.ClientError):
                await slow
            with pytest.raises(aiohttp.ClientError):
                await ask(client, service)
            await a.federate(b)
            await until(one, believes(one, b))
            assert await ask(client, service) == b.id


async def denied_then_granted(a: Place) -> None:
    """Nobody registered: a sentence. Registered while it waits: an identity. Withdrawn: no handshake any more."""
    await a.withdraw()
    async with asyncio.timeout(PATIENCE):  # SPIRE's agent hears of it within a second
        while not (why := await _refused(a)):
            pass
    assert f"{a.address} gives this process no SVID" in why
    entering = asyncio.create_task(WorkloadApi(a.address, patience=PATIENCE).__aenter__())
    await a.grant()
    identity = await entering
    try:
        assert str(identity.spiffe_id) == a.id
        await a.withdraw()

        def gone() -> bool:
            try:
                return not identity.spiffe_id
            except NoIdentity:
                return True

        await until(identity, gone)
        everybody = Authorized.of(domains=[a.domain.name])
        other = Holder("a client")
        other.take(a.forge(a.id), identity.bundles)
        async with served(identity, everybody) as service, asking(other, everybody) as client:  # type: ignore[arg-type]
            with pytest.raises(aiohttp.ClientError):
                await ask(client, service)
            assert service.answered == 0
        await a.grant()
        await until(identity, lambda: not gone())
    finally:
        await identity.__aexit__()


async def _refused(place: Place) -> str:
    """Why this process gets no identity now; empty when it gets one."""
    try:
        async with WorkloadApi(place.address, patience=1.0):
            return ""
    except NoIdentity as error:
        return str(error)


async def the_stream_drops(a: Place) -> None:
    """While the Workload API is away, what is known stays good; afterwards it is followed again."""
    async with WorkloadApi(a.address) as identity:
        before = identity.svid
        await a.restart()
        assert str(identity.spiffe_id) == a.id
        await a.rotate()
        await until(identity, lambda: identity.svid.chain != before.chain)
