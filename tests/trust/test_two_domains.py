"""Two federated trust domains with the embedded issuer, over real sockets: what happens, and what must not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from trust import scenarios
from trust.embedded import Embedded, two_domains

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Embedded, Embedded]]:
    async with two_domains(tmp_path) as both:
        yield both


async def test_who_is_named_is_let_in_and_nobody_else(pair: tuple[Embedded, Embedded]) -> None:
    await scenarios.allow_and_deny(*pair)


async def test_a_federated_authority_cannot_issue_our_ids(pair: tuple[Embedded, Embedded]) -> None:
    await scenarios.forge(*pair)


async def test_no_request_fails_while_svids_rotate(pair: tuple[Embedded, Embedded]) -> None:
    assert await scenarios.rotate_under_load(*pair, rounds=5) >= 100


async def test_no_request_fails_while_authorities_rotate(pair: tuple[Embedded, Embedded]) -> None:
    """Announced, fetched by the other domain, used."""
    from continuo.trust.workload_api import WorkloadApi

    a, b = pair
    async with WorkloadApi(b.address) as two:
        a.issuer.prepare()
        announced = a.issuer.authorities[-1].der
        for relation in b.store.relations():
            assert b.serving is not None and await b.serving.federation.refresh(relation) == ""
        await scenarios.until(two, lambda: announced in two.bundles.x509[a.domain])
    a.issuer.activate()
    assert await scenarios.rotate_under_load(a, b, rounds=2) >= 40


async def test_the_end_of_a_federation_ends_connections(pair: tuple[Embedded, Embedded]) -> None:
    await scenarios.end_of_federation(*pair)


async def test_an_identity_is_denied_granted_and_withdrawn(pair: tuple[Embedded, Embedded]) -> None:
    await scenarios.denied_then_granted(pair[0])


async def test_a_workload_api_that_goes_away_is_followed_again(pair: tuple[Embedded, Embedded]) -> None:
    await scenarios.the_stream_drops(pair[0])
