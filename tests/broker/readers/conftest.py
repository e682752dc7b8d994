"""One event loop for all tests of this folder: gRPC's poller goes on telling the loop that first used it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest


@pytest.fixture(scope="package", autouse=True)
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Holds the loop until the last test of the folder has ended."""
    yield
