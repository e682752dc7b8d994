"""One event loop for all of these tests: gRPC's threads serve whichever loop they found first."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from trust.canary import Canary


@pytest.fixture(scope="package", autouse=True)
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    yield


@pytest.fixture(autouse=True)
def no_secret_is_logged() -> Iterator[None]:
    """Whatever a test does: no private key and no token ends up in a line of the log."""
    canary = Canary()
    root = logging.getLogger()
    before = root.level
    root.addHandler(canary)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(canary)
    root.setLevel(before)
    assert canary.found == []
