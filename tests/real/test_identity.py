"""Real SPIRE, two federated trust domains: the same scenarios as with the embedded issuer, through the Workload API alone."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from trust import scenarios

from .conftest import asked_for
from .spire import PROGRAMS, Spire, two_domains

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def pair(anyio_backend: str) -> AsyncIterator[tuple[Spire, Spire]]:
    tools = asked_for()
    if missing := tools.missing(PROGRAMS):
        pytest.skip(f"{', '.join(missing)} missing on this machine: make testbed PARTS=spire")
    with tempfile.TemporaryDirectory(prefix="spire-") as folder:
        async with two_domains(Path(folder), tools) as both:
            yield both


async def test_who_is_named_is_let_in_and_nobody_else(pair: tuple[Spire, Spire]) -> None:
    await scenarios.allow_and_deny(*pair)


async def test_a_federated_authority_cannot_issue_our_ids(pair: tuple[Spire, Spire]) -> None:
    await scenarios.forge(*pair)


async def test_no_request_fails_while_svids_rotate(pair: tuple[Spire, Spire]) -> None:
    assert await scenarios.rotate_under_load(*pair, rounds=2) >= 40


async def test_a_workload_api_that_goes_away_is_followed_again(pair: tuple[Spire, Spire]) -> None:
    await scenarios.the_stream_drops(pair[0])


async def test_the_end_of_a_federation_ends_connections(pair: tuple[Spire, Spire]) -> None:
    await scenarios.end_of_federation(*pair)


async def test_an_identity_is_denied_granted_and_withdrawn(pair: tuple[Spire, Spire]) -> None:
    await scenarios.denied_then_granted(pair[0])
