from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from server_bench import Bench, running


@pytest.fixture
async def bench(anyio_backend: str) -> AsyncIterator[Bench]:
    async with running() as made:
        yield made
